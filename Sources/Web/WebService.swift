public import HubSpot
import Glibc
import HTTPTypes
import Hummingbird
public import Logging
import NIOCore
public import ServiceLifecycle
public import Signature
public import Store
public import Sync

/// How the web side is set up; from the contract's variables.
public struct WebSettings: Sendable {
    public var host: String
    public var port: Int
    /// nil: nobody can log in.
    public var adminKey: String?
    /// nil: a random one for each start.
    public var sessionSecret: String?
    public var trustsProxy: Bool
    /// None: every webhook is refused.
    public var clientSecrets: [String]
    public var signatureVersions: Set<SignatureVersion>
    public var webhookURL: String?
    public var webhookBodyMax: Int

    public init(
        host: String = "127.0.0.1", port: Int, adminKey: String?, sessionSecret: String? = nil, trustsProxy: Bool = false,
        clientSecrets: [String] = [], signatureVersions: Set<SignatureVersion> = Set(SignatureVersion.allCases),
        webhookURL: String? = nil, webhookBodyMax: Int = 16 << 20
    ) {
        self.host = host
        self.port = port
        self.adminKey = adminKey
        self.sessionSecret = sessionSecret
        self.trustsProxy = trustsProxy
        self.clientSecrets = clientSecrets
        self.signatureVersions = signatureVersions
        self.webhookURL = webhookURL
        self.webhookBodyMax = webhookBodyMax
    }
}

/// Everything that is answered over HTTP.
public struct WebService: Service {
    /// The address cannot be listened on.
    public struct BindError: Error, CustomStringConvertible {
        public let description: String
    }

    private let settings: WebSettings
    private let logger: Logger
    private let responder: RouterResponder<AppContext>
    private let onRunning: @Sendable (Int) async -> Void

    /// - Parameter onRunning: told the port once connections are taken.
    public init(
        settings: WebSettings, store: Store, runs: Runs, pool: Pool, inboxWriter: InboxWriter, account: AccountIdentity,
        hubspot: HubSpotClient, catalog: PropertyCatalog, metrics: PrometheusMetrics, logger: Logger, onRunning: @escaping @Sendable (Int) async -> Void = { _ in }
    ) throws {
        self.settings = settings
        self.logger = logger
        self.onRunning = onRunning
        let authentication = Authentication(
            adminKey: settings.adminKey, sessions: try Sessions(secret: settings.sessionSecret), trustsProxy: settings.trustsProxy)
        let router = Router(context: AppContext.self)
        router.add(middleware: ErrorAnswers())
        HealthRoutes(store: store).add(to: router)
        MetricsRoute(metrics: metrics, hubspot: hubspot, pool: pool).add(to: router)
        let webhooks = WebhookCounters()
        WebhookReceiver(
            verifier: settings.clientSecrets.isEmpty
                ? nil : try SignatureVerifier(secrets: settings.clientSecrets, allowing: settings.signatureVersions),
            publicURL: settings.webhookURL, trustsProxy: settings.trustsProxy, bodyMax: settings.webhookBodyMax, writer: inboxWriter,
            pool: pool, account: account, counters: webhooks
        ).add(to: router)
        LoginRoutes(authentication: authentication).add(to: router)
        try AdminPages(authentication: authentication, mirror: store.mirror, runs: runs).add(to: router)
        let admin = router.group("/api/admin/hubspot").add(middleware: RequireLogin(authentication: authentication))
        let sync = admin.group("sync")
        StatusRoutes(mirror: store.mirror, runs: runs, hubspot: HubSpotHealth(hubspot: hubspot), pool: pool, webhooks: webhooks).add(to: sync)
        SyncRoutes(runs: runs).add(to: sync)
        WebhookLogRoutes(inbox: store.inbox, mirror: store.mirror, pool: pool).add(to: admin)
        RecordRoutes(mirror: store.mirror, live: LiveRecords(hubspot: hubspot, catalog: catalog)).add(to: admin)
        // Last: whatever else is asked for below /api/admin needs a login before it is told that there is nothing.
        for method in [HTTPRequest.Method.get, .post, .put, .patch, .delete] {
            router.group("/api/admin").add(middleware: RequireLogin(authentication: authentication))
                .on("**", method: method) { _, _ -> Response in throw HTTPError(.notFound) }
        }
        responder = router.buildResponder()
    }

    public func run() async throws {
        let application = Application(
            responder: responder, configuration: ApplicationConfiguration(address: .hostname(settings.host, port: settings.port)),
            onServerRunning: { [logger, onRunning] channel in
                let port = channel.localAddress?.port ?? 0
                logger.info("Listening", metadata: ["address": "\(channel.localAddress?.ipAddress ?? "?")", "port": "\(port)"])
                await onRunning(port)
            },
            logger: logger)
        do {
            try await application.run()
        } catch let error as IOError where [EADDRINUSE, EACCES, EADDRNOTAVAIL].contains(error.errnoCode) {
            throw BindError(
                description: "port \(settings.port) on \(settings.host) cannot be listened on: stop what uses it, or set PORT or HOST")
        }
    }
}
