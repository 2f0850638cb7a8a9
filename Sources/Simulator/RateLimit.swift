/// At most `count` calls in any rolling `interval`.
public struct RateLimit: Sendable, Equatable {
    public var count: Int
    public var interval: Duration

    public init(_ count: Int, per interval: Duration) {
        self.count = count
        self.interval = interval
    }
}
