internal import Model
public import Mongo

/// All that is kept in MongoDB.
public struct Store: Sendable {
    public let writer: MirrorWriter
    public let mirror: MirrorReader
    public let runs: RunStore
    private let database: MongoDatabase

    public init(database: MongoDatabase) {
        self.database = database
        writer = MirrorWriter(database: database)
        mirror = MirrorReader(database: database)
        runs = RunStore(database: database)
    }

    /// Makes the indexes that are missing. Repeating it is harmless and cheap.
    public func prepare() async throws {
        let indexes = RecordType.allCases.flatMap(MirrorIndex.all) + [RunStore.index]
        try await database.run { try $0.ensureIndexes(indexes) }
    }
}
