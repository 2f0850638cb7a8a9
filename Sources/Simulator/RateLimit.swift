/// At most `count` calls in any rolling `interval`.
public struct RateLimit: Sendable, Equatable {
    public var count: Int
    public var interval: Duration

    public init(_ count: Int, per interval: Duration) {
        self.count = count
        self.interval = interval
    }

    /// The limit of associations where this is the general one: HubSpot's is 100 of 100, 150 of 190 and 200 of 250; this has the least share.
    ///
    /// - Source: platform page, sections 5.9 and 7.1.
    var ofAssociations: RateLimit { RateLimit(max(1, count * 150 / 190), per: interval) }
}
