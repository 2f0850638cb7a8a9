import Bytes
import Curl
import Foundation
import HubSpot
import Logging
import Model
import Mongo
import Rules
import ServiceLifecycle
import Simulator
import Store
import Sync
import TestSupport
import Web

/// The webhook path on real parts: a simulated account that posts signed events to the real receiver, the inbox and the mirror in a
/// genuine MongoDB, and the pool between them.
struct PoolBench: Sendable {
    let simulator: Simulator
    let database: MongoDatabase
    let store: Store
    let hubspot: HubSpotClient
    let catalog: PropertyCatalog
    let runs: Runs
    let pool: Pool

    static let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
    /// Repeats of a stale read are over after 0.6 to 1.3 s, where the service takes 8 to 16.
    static let backoff = Backoff(base: .milliseconds(20), cap: .seconds(1))

    static func use(
        database: MongoDatabase = ScratchDatabase.current, account: (inout SimulatorSettings) -> Void = { _ in },
        _ body: (PoolBench) async throws -> Void
    ) async throws {
        var settings = SimulatorSettings()
        settings.contacts = 14
        settings.companies = 8
        settings.deals = 8
        settings.propertiesPerRecord = 8
        settings.customProperties = 2
        settings.rateLimit = nil
        settings.searchRateLimit = nil
        settings.webhooks.retryTimeScale = 1e-5
        account(&settings)
        let simulator = Simulator(settings: settings, logger: logger)
        try await simulator.start()
        let driver = CurlDriver()
        let store = Store(database: database, logger: logger)
        try await store.prepare()
        let unlimited = RateLimit(calls: 1_000_000, interval: .milliseconds(20))
        let hubspot = HubSpotClient(
            settings: HubSpotSettings(
                baseURL: simulator.baseURL, accessToken: settings.token, rateLimit: unlimited, searchRateLimit: unlimited,
                attemptsMax: 3, backoff: Backoff(base: .milliseconds(2), cap: .milliseconds(10))), driver: driver, logger: logger)
        let catalog = PropertyCatalog(hubspot: hubspot)
        let runs = Runs(store: store, hubspot: hubspot, catalog: catalog, instance: "test", logger: logger)
        let pool = Pool(
            store: store, hubspot: hubspot, catalog: catalog, concurrency: 4, owner: "bench", backoff: backoff, logger: logger)
        let account = AccountIdentity(hubspot: hubspot, logger: logger)
        let (ports, port) = AsyncStream<Int>.makeStream()
        let web = try WebService(
            settings: WebSettings(port: 0, adminKey: "key", clientSecrets: [settings.clientSecret]), store: store, runs: runs, pool: pool,
            inboxWriter: InboxWriter(inbox: store.inbox, owner: "bench"), account: account, hubspot: hubspot, catalog: catalog,
            definitions: Definitions(hubspot: hubspot, catalog: catalog, store: store, logger: logger),
            verification: Verification(store: store, hubspot: hubspot, catalog: catalog, every: nil, logger: logger),
            metrics: PrometheusMetrics(version: "test"), logger: logger, onRunning: { port.yield($0) })
        let bench = PoolBench(
            simulator: simulator, database: database, store: store, hubspot: hubspot, catalog: catalog, runs: runs, pool: pool)
        let group = ServiceGroup(services: [account, runs, pool, web], logger: logger)
        let result = await withTaskGroup(of: Result<Void, any Error>.self) { tasks in
            tasks.addTask {
                let result: Result<Void, any Error>
                do { result = .success(try await group.run()) } catch { result = .failure(error) }
                port.finish()
                return result
            }
            var result: Result<Void, any Error>
            do {
                if let port = await ports.first(where: { _ in true }) {
                    simulator.setWebhookURL("http://127.0.0.1:\(port)/api/webhooks/hubspot")
                    try await body(bench)
                }
                result = .success(())
            } catch {
                result = .failure(error)
            }
            await group.triggerGracefulShutdown()
            for await ended in tasks {
                if case .success = result { result = ended }
            }
            return result
        }
        await driver.shutDown()
        await simulator.stop()
        try result.get()
    }

    /// Waits for MongoDB to answer a few times: some milliseconds that are never quite the same.
    func pace(_ times: Int) async throws {
        for _ in 0..<times { _ = try await database.run { try $0.command(["ping": 1]) } }
    }

    /// Returns when every event is accepted and everything that they asked for is done.
    func settle() async throws {
        await simulator.deliveriesSettled()
        while true {
            let numbers = await pool.numbers
            var query = Inbox.Query()
            query.state = .pending
            query.limit = 1
            let pending = try await store.inbox.deliveries(query)
            if numbers.queued + numbers.inFlight + numbers.retrying == 0, pending.isEmpty { return }
            try await pace(20)
        }
    }
}
