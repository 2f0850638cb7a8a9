public import Bytes
public import HubSpot
public import Logging
public import Model
import Mongo
import Rules
public import ServiceLifecycle
public import Store

/// Keeps the mirror of properties, pipelines and owners: at the start, every hour and with each sync, one instance at a time.
public actor Definitions: Service {
    private static let work = "definitions"
    private static let lookEvery: Duration = .seconds(5)
    private static let every: Duration = .seconds(3_600)
    /// After a failure that may pass by itself.
    private static let againAfter: Duration = .seconds(60)
    /// Syncs may begin every few seconds.
    private static let atMostEvery: Duration = .seconds(60)

    private let hubspot: HubSpotClient
    private let catalog: PropertyCatalog
    private let store: DefinitionStore
    private let schedule: ScheduleStore
    private let logger: Logger
    /// What was last told about each list that cannot be read, so that it is told once.
    private var told: [DefinitionSet: String] = [:]

    public init(hubspot: HubSpotClient, catalog: PropertyCatalog, store: Store, logger: Logger) {
        self.hubspot = hubspot
        self.catalog = catalog
        self.store = store.definitions
        schedule = store.schedule
        self.logger = logger
    }

    // MARK: Reading

    /// Documents of the mirror, those archived or the others.
    public nonisolated func mirrored(_ set: DefinitionSet, archived: Bool) async throws -> [BSONDocument] {
        try await store.documents(set, archived: archived)
    }

    /// The same straight from HubSpot.
    public nonisolated func live(_ set: DefinitionSet, archived: Bool) async throws -> [BSONDocument] {
        let readAt = Timestamp.now
        let definitions = try await hubspot.definitions(set, archived: archived, as: .live).filter { $0.archived == archived }
        return definitions.map { $0.mirrorDocument(in: set, at: readAt) }
    }

    public nonisolated func states() async throws -> [DefinitionSet: DefinitionStore.State] { try await store.states() }

    // MARK: Refreshing

    public func run() async throws {
        await cancelWhenGracefulShutdown {
            await withDiscardingTaskGroup { group in
                group.addTask { await self.hastenWithSyncs() }
                while !Task.isCancelled {
                    await self.look()
                    // Cancelled while asleep: the loop's condition ends it.
                    try? await Task.sleep(for: Definitions.lookEvery, clock: .core)
                }
                group.cancelAll()
            }
        }
    }

    private func hastenWithSyncs() async {
        for await _ in catalog.syncs {
            // The hour's turn comes anyway.
            try? await schedule.hasten(Definitions.work, at: .now, unlessSince: .now - Definitions.atMostEvery)
        }
    }

    private func look() async {
        do {
            try await SharedWork(schedule: schedule, name: Definitions.work).perform {
                // Those of the next hour are spread, so that many accounts do not ask at the same second.
                var random = CoreRandom()
                return await self.refresh() ? Definitions.every * Double.random(in: 1...1.1, using: &random) : Definitions.againAfter
            }
        } catch {
            logger.debug("The schedule could not be looked at", metadata: ["work": "\(Definitions.work)", "error": "\(error)"])
        }
    }

    /// Reads every list once. One that cannot be read, for a scope that is missing say, leaves the others alone.
    ///
    /// - Returns: false when something failed that may succeed soon.
    @discardableResult
    public func refresh() async -> Bool {
        var isDone = true
        for set in DefinitionSet.all {
            do {
                let readAt = Timestamp.now
                switch set {
                case .properties(let type): _ = try await catalog.refresh(type, as: .incremental)
                case .pipelines: try await store.replace(set, with: try await hubspot.definitions(set, as: .incremental), at: readAt)
                case .owners:
                    // Records keep the ids of those who left.
                    let left = try await hubspot.definitions(set, archived: true, as: .incremental)
                    let present = try await hubspot.definitions(set, as: .incremental)
                    guard !present.isEmpty else { break }
                    try await store.replace(set, with: present + left, at: readAt)
                }
                told[set] = nil
            } catch {
                guard !Task.isCancelled else { return false }
                if (error as? HubSpotError)?.isTemporary ?? true { isDone = false }
                await tell(set, error)
            }
        }
        return isDone
    }

    private func tell(_ set: DefinitionSet, _ error: any Error) async {
        let message = (error as? HubSpotError)?.message ?? "MongoDB could not be asked"
        // When MongoDB is away, the status says that by itself.
        if error is HubSpotError { try? await store.noteFailure(set, message) }
        guard told[set] != message else { return }
        told[set] = message
        logger.warning("A list of HubSpot's cannot be mirrored", metadata: ["list": "\(set)", "error": "\(error)"])
    }
}
