/// What became of a bulk whose every write was tried.
public struct BulkOutcome: Sendable, Equatable {
    public struct Failure: Sendable, Equatable {
        /// Index of the write in the bulk.
        public let index: Int
        public let error: MongoError
    }

    public var inserted = 0
    public var matched = 0
    public var modified = 0
    public var deleted = 0
    /// Indexes of the writes that made a document by `upsert`.
    public var upserted: [Int] = []
    /// Writes that the server refused, by ascending index; the others took effect.
    public var failures: [Failure] = []

    public init() {}
}
