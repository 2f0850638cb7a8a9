import CMalloc
import Curl
import Glibc
import HubSpot
import Logging
import Metrics
import Mongo
import ServiceLifecycle
import Store
import Sync
import UnixSignals
import Web

/// Wires the service together and runs it until it is told to stop: the one place that knows everybody.
func serve(_ settings: Settings) async throws {
    let logger = Logger(label: "hubspot-sync")
    signal(SIGPIPE, SIG_IGN)
    // Each heap keeps what was freed in it. The C library has eight a core, and threads that take turns would fill them all.
    _ = mallopt(M_ARENA_MAX, CInt(clamping: sysconf(CInt(_SC_NPROCESSORS_ONLN))))
    let metrics = PrometheusMetrics(version: Build.version, help: PrometheusMetrics.help)
    MetricsSystem.bootstrap(metrics)
    let database: MongoDatabase, receiving: MongoDatabase
    do {
        // Two more than the default: the change feed waits on one while anybody follows it, and the watch of the mirror while anybody reads.
        database = try MongoDatabase(MongoSettings(uri: settings.mongodbURI, threads: 10))
        // A primary that stands still holds every call on it until its time-out, also when another has long taken over. HubSpot waits
        // for 5 s, so what it waits for has threads of its own and gives up before.
        receiving = try MongoDatabase(
            MongoSettings(uri: settings.mongodbURI, threads: 2, socketTimeout: .seconds(4), writeTimeout: .seconds(3)))
    } catch {
        throw Failure("Cannot start: MONGODB_URI cannot be used: \(error.message)")
    }
    let store = Store(database: database, receiving: receiving, eventRetention: settings.eventRetention, logger: logger)
    let driver = CurlDriver()
    let hubspot = HubSpotClient(
        // The name is the same after a restart, and the process of before may not have ended yet.
        settings: settings.hubspot, driver: driver, sharingAs: "\(settings.instanceName)/\(UInt64.random(in: .min ... .max))", logger: logger)
    let catalog = PropertyCatalog(hubspot: hubspot, store: store)
    let runs = Runs(store: store, hubspot: hubspot, catalog: catalog, instance: settings.instanceName, logger: logger)
    let pool = Pool(
        store: store, hubspot: hubspot, catalog: catalog, concurrency: settings.concurrency, owner: settings.instanceName, logger: logger)
    let definitions = Definitions(hubspot: hubspot, catalog: catalog, store: store, logger: logger)
    let verification = Verification(store: store, hubspot: hubspot, catalog: catalog, every: settings.verifyInterval, logger: logger)
    let account = AccountIdentity(hubspot: hubspot, logger: logger)
    var connections = settings.connections
    connections.connectionsMax = OpenFiles.allow(connections: connections.connectionsMax, logger: logger)
    let web = try WebService(
        settings: WebSettings(
            host: settings.host, port: settings.port, adminKey: settings.adminKey, sessionSecret: settings.sessionSecret,
            trustsProxy: settings.trustsProxy, clientSecrets: settings.clientSecrets, signatureVersions: settings.signatureVersions,
            webhookURL: settings.webhookURL, webhookBodyMax: settings.webhookBodyMax, connections: connections),
        store: store, runs: runs, pool: pool, inboxWriter: InboxWriter(inbox: store.inbox, owner: settings.instanceName),
        account: account, hubspot: hubspot, catalog: catalog, definitions: definitions, verification: verification,
        metrics: metrics, logger: logger)
    if settings.adminKey == nil { logger.warning("ADMIN_API_KEY is not set: nobody can log in or use the API") }
    if settings.clientSecrets.isEmpty { logger.warning("HUBSPOT_CLIENT_SECRET is not set: every webhook will be refused") }
    logger.info(
        "Starting", metadata: ["version": "\(Build.version)", "mongodb": "\(database.hosts)", "hubspot": "\(settings.hubspot.baseURL)"])
    var configuration = ServiceGroupConfiguration(
        // Stopped from the last to the first, one after the other: syncs end and tell those who wait for them, nothing new comes in,
        // then the pool gives back what it has in hand; the share of the limits last, when nobody calls HubSpot any more.
        services: [
            store, BudgetSharing(ledger: store.budget, hubspot: hubspot, logger: logger),
            StaleSweep(mirror: store.writer, staleAfter: settings.staleAfter, logger: logger),
            Healing(store: store, hubspot: hubspot, catalog: catalog, logger: logger), account, definitions, verification, pool, web, runs,
            Scheduler(store: store, runs: runs, every: settings.intervals, logger: logger),
            StopDeadline(logger: logger),
        ],
        gracefulShutdownSignals: [.sigterm, .sigint], logger: logger)
    // The contract's 10 s, less the time to hang up. No limit to that: the group would trap at it, where `StopDeadline` ends in order.
    configuration.maximumGracefulShutdownDuration = .seconds(8)
    do {
        try await ServiceGroup(configuration: configuration).run()
    } catch let error as WebService.BindError {
        throw Failure("Cannot start: \(error)")
    } catch is CancellationError {
        logger.warning("Stopped before everything in hand was finished; it is taken up at the next start")
    }
    await driver.shutDown()
    await receiving.shutDown()
    await database.shutDown()
    logger.info("Stopped")
}

/// What this binary is.
enum Build {
    static let version = "0.1.0"
}
