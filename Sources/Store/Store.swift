import Bytes
public import Logging
import Model
public import Mongo
import NIOConcurrencyHelpers
public import ServiceLifecycle

/// All that is kept in MongoDB. As a service it makes the indexes as soon as MongoDB can be reached.
public struct Store: Service {
    public let writer: MirrorWriter
    public let mirror: MirrorReader
    public let changes: MirrorChanges
    public let watch: MirrorWatch
    public let runs: RunStore
    public let inbox: Inbox
    public let watermarks: WatermarkStore
    public let schedule: ScheduleStore
    public let budget: BudgetStore
    public let definitions: DefinitionStore
    public let verifications: VerifyStore
    public let rejected: RejectedStore
    private let database: MongoDatabase
    private let logger: Logger
    private let isPrepared = NIOLockedValueBox(false)

    private static let indexes = RecordType.allCases.flatMap(MirrorIndex.all) + RunStore.indexes + Inbox.indexes + RejectedStore.indexes
    private static let prepareEvery: Duration = .seconds(2)

    /// - Parameters:
    ///   - receiving: another connection to the same database, for storing deliveries; nil uses `database` for that too.
    ///   - eventRetention: how long deliveries are kept.
    public init(
        database: MongoDatabase, receiving: MongoDatabase? = nil, eventRetention: Duration = .seconds(30 * 86_400), logger: Logger
    ) {
        self.database = database
        self.logger = logger
        watch = MirrorWatch(database: database)
        writer = MirrorWriter(database: database, watch: watch)
        mirror = MirrorReader(database: database, watch: watch)
        changes = MirrorChanges(database: database)
        runs = RunStore(database: database)
        watermarks = WatermarkStore(database: database)
        schedule = ScheduleStore(database: database)
        budget = BudgetStore(database: database)
        definitions = DefinitionStore(database: database)
        verifications = VerifyStore(database: database)
        rejected = RejectedStore(database: database)
        inbox = Inbox(database: database, receiving: receiving, retention: eventRetention)
    }

    /// Makes the indexes that are missing, and then removes those that they replace. Repeating it is harmless and cheap.
    ///
    /// One that cannot be made makes something slow or fail, and is told; what does without goes on.
    public func prepare() async throws {
        for refused in try await database.run({ try $0.ensureIndexes(Store.indexes) }) {
            logger.error(
                "MongoDB refuses an index: remove the index or the documents that are in its way, and start again",
                metadata: [
                    "collection": "\(refused.index.collection)", "index": "\(refused.index.name)",
                    "keys": "\(refused.index.keys.elements.map(\.name).joined(separator: ", "))", "error": "\(refused.error)",
                ])
        }
        try await database.run { try $0.dropIndexes(Inbox.formerIndexes) }
        isPrepared.withLockedValue { $0 = true }
    }

    /// Prepares, again and again while MongoDB is away, and then waits for the stop.
    public func run() async throws {
        await cancelWhenGracefulShutdown {
            while !Task.isCancelled {
                do {
                    try await prepare()
                    logger.info("MongoDB is ready", metadata: ["database": "\(database.name)"])
                    break
                } catch {
                    logger.warning("MongoDB is not ready yet", metadata: ["error": "\(error)"])
                }
                // Cancelled while asleep: the loop's condition ends it.
                try? await Task.sleep(for: Store.prepareEvery, clock: .core)
            }
        }
        try await gracefulShutdown()
    }

    /// Whether MongoDB answers and the indexes are there.
    public func isReady() async -> Bool {
        guard isPrepared.withLockedValue({ $0 }) else { return false }
        // Any failure means the same here: not ready.
        return (try? await database.run { try $0.command(["ping": 1]) }) != nil
    }

    /// `collection.name` of indexes that `prepare` would make.
    public func missingIndexes() async throws -> [String] {
        try await database.run { try $0.missing(of: Store.indexes) }.map { "\($0.collection).\($0.name)" }.sorted()
    }
}
