/// What a write to the mirror did.
public struct WriteOutcome: Sendable, Equatable {
    public struct Failure: Sendable, Equatable {
        public let id: String
        /// For the record's `syncError`; holds no data of the record.
        public let message: String
    }

    /// Records that the mirror did not have.
    public var created = 0
    /// Records that it had and that were refreshed, `unchanged` of them without new data.
    public var updated = 0
    public var unchanged = 0
    /// Records that the mirror has in a newer state, or that were erased meanwhile: left as they are.
    public var outdated = 0
    public var failures: [Failure] = []

    public init() {}

    public static func += (total: inout Self, part: Self) {
        total.created += part.created
        total.updated += part.updated
        total.unchanged += part.unchanged
        total.outdated += part.outdated
        total.failures += part.failures
    }
}
