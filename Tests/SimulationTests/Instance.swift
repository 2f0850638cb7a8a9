import HubSpot
import Logging
import Model
import Mongo
import Rules
import Simulator
import Store
import Sync
import TestSupport

@testable import Web

/// One instance of the service from its start to its death: the parts that `serve` wires, without the web side and its sockets.
final class Instance: Sendable {
    /// Everything that instances of one simulation have in common.
    struct Surroundings: Sendable {
        let scenario: Scenario
        let database: MongoDatabase
        let simulator: Simulator
        let weather: Weather
        let time: VirtualTime
        let logger: Logger
    }

    let life: Life
    let runs: Runs
    let pool: Pool
    private let writer: InboxWriter
    private let services: [@Sendable () async throws -> Void]

    /// - Parameter steps: after which it dies; nil lets it live.
    init(named name: String, in around: Surroundings, steps: Int?) {
        let scenario = around.scenario, logger = around.logger
        life = Life(steps: steps)
        let calls = SimulatedMongo(life: life, weather: around.weather, time: around.time)
        let store = Store(database: around.database.through(calls), logger: logger)
        var random = CoreRandom()
        let hubspot = HubSpotClient(
            settings: HubSpotSettings(
                baseURL: SimulatedHubSpot.address, accessToken: around.simulator.settings.token, rateLimit: scenario.rateLimit),
            driver: SimulatedHubSpot(
                life: life, weather: around.weather, time: around.time, simulator: around.simulator, pageSize: scenario.pageSize),
            sharingAs: scenario.sharesLimits ? "\(name)/\(random.next())" : nil, logger: logger)
        let catalog = PropertyCatalog(hubspot: hubspot, store: scenario.hasDefinitions ? store : nil)
        let runs = Runs(store: store, hubspot: hubspot, catalog: catalog, instance: name, logger: logger)
        let pool = Pool(
            store: store, hubspot: hubspot, catalog: catalog, concurrency: scenario.concurrency, owner: name, logger: logger)
        let healing = Healing(store: store, hubspot: hubspot, catalog: catalog, lookEvery: .seconds(20), logger: logger)
        var services: [@Sendable () async throws -> Void] = [
            { try await pool.run() }, { try await runs.run() }, { try await healing.run() },
        ]
        if scenario.sharesLimits {
            let sharing = BudgetSharing(ledger: store.budget, hubspot: hubspot, logger: logger)
            services.append { try await sharing.run() }
        }
        if !scenario.intervals.isEmpty {
            let scheduler = Scheduler(store: store, runs: runs, every: scenario.intervals, logger: logger)
            services.append { try await scheduler.run() }
        }
        if scenario.hasDefinitions {
            let definitions = Definitions(hubspot: hubspot, catalog: catalog, store: store, logger: logger)
            services.append { try await definitions.run() }
        }
        self.runs = runs
        self.pool = pool
        writer = InboxWriter(inbox: store.inbox, owner: name)
        self.services = services
    }

    /// Returns when it is dead and everything of it has come to rest.
    func run() async {
        let root = Task {
            await withDiscardingTaskGroup { group in
                for service in services {
                    group.addTask {
                        // Ends when it is cancelled, which is its death.
                        try? await service()
                    }
                }
            }
        }
        life.whenDead { root.cancel() }
        await root.value
    }

    /// What the receiver does with a request whose signature is right.
    ///
    /// - Returns: whether the sender sees a 200.
    func receive(_ body: [UInt8]) async -> Bool {
        guard !life.isDead, let events = try? WebhookBody.events(in: body) else { return false }
        let now = Timestamp.now
        do {
            try await writer.append(Delivery(id: DeliveryID.make(at: now), receivedAt: now, signature: "v3", events: events), for: pool)
        } catch {
            return false
        }
        return !life.isDead
    }
}
