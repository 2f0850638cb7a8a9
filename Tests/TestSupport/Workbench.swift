public import Curl
public import HubSpot
public import Logging
public import Mongo
import Rules
public import ServiceLifecycle
public import Simulator
public import Store
public import Sync

/// The service without its web side, on the test's scratch database and a simulated account of its own.
public struct Workbench: Sendable {
    public let simulator: Simulator
    public let store: Store
    public let driver: CurlDriver
    public let hubspot: HubSpotClient
    public let catalog: PropertyCatalog
    public let definitions: Definitions
    /// Waits for nothing: whatever differs is drift at once.
    public let verification: Verification
    public let runs: Runs
    public let logger: Logger

    /// Starts everything, gives it to `body`, and stops everything as an operator would, whatever came of it.
    ///
    /// - Parameters:
    ///   - account: what is special about the simulated account, which has 250 contacts, 40 companies, 60 deals, and no limits.
    ///   - address: another HubSpot than the simulated one.
    ///   - database: another one than the test's own.
    ///   - services: what else runs, stopped before the syncs are.
    public static func use(
        account: (inout SimulatorSettings) -> Void = { _ in }, address: String? = nil, database: MongoDatabase? = nil,
        services: (Workbench) throws -> [any Service] = { _ in [] }, _ body: (Workbench) async throws -> Void
    ) async throws {
        var settings = SimulatorSettings()
        settings.contacts = 250
        settings.companies = 40
        settings.deals = 60
        settings.rateLimit = nil
        settings.searchRateLimit = nil
        account(&settings)
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        let simulator = Simulator(settings: settings, logger: logger)
        try await simulator.start()
        let driver = CurlDriver()
        let store = Store(database: database ?? ScratchDatabase.current, logger: logger)
        let unlimited = RateLimit(calls: 1_000_000, interval: .seconds(1))
        let hubspot = HubSpotClient(
            settings: HubSpotSettings(
                baseURL: address ?? simulator.baseURL, accessToken: settings.token, rateLimit: unlimited, searchRateLimit: unlimited,
                attemptsMax: 3, backoff: Backoff(base: .milliseconds(2), cap: .milliseconds(10)), outagePause: .milliseconds(20)), driver: driver, logger: logger)
        let catalog = PropertyCatalog(hubspot: hubspot, store: store)
        let definitions = Definitions(hubspot: hubspot, catalog: catalog, store: store, logger: logger)
        let verification = Verification(
            store: store, hubspot: hubspot, catalog: catalog, every: nil, settleTime: .zero, inFlightFor: .zero, logger: logger)
        let runs = Runs(store: store, hubspot: hubspot, catalog: catalog, instance: "test", logger: logger)
        let bench = Workbench(
            simulator: simulator, store: store, driver: driver, hubspot: hubspot, catalog: catalog, definitions: definitions, verification: verification,
            runs: runs, logger: logger)
        if database == nil { try await store.prepare() }
        let group = ServiceGroup(services: [runs] + (try services(bench)), logger: logger)
        let result = await withTaskGroup(of: Result<Void, any Error>.self) { tasks in
            tasks.addTask {
                do { return .success(try await group.run()) } catch { return .failure(error) }
            }
            var result: Result<Void, any Error>
            do { result = .success(try await body(bench)) } catch { result = .failure(error) }
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
}
