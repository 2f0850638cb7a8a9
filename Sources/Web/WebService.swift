public import HubSpot
import Glibc
import HTTPTypes
import Hummingbird
import HummingbirdCore
public import Logging
import NIOConcurrencyHelpers
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
    public var connections: ConnectionLimits

    public init(
        host: String = "127.0.0.1", port: Int, adminKey: String?, sessionSecret: String? = nil, trustsProxy: Bool = false,
        clientSecrets: [String] = [], signatureVersions: Set<SignatureVersion> = Set(SignatureVersion.allCases),
        webhookURL: String? = nil, webhookBodyMax: Int = 16 << 20, connections: ConnectionLimits = ConnectionLimits()
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
        self.connections = connections
    }
}

/// Everything that is answered over HTTP.
public struct WebService: Service, CustomStringConvertible, CustomReflectable {
    /// Who runs services logs their descriptions, and what this one holds are secrets.
    public var description: String { "WebService" }
    public var customMirror: Mirror { Mirror(self, children: [:]) }

    /// The address cannot be listened on.
    public struct BindError: Error, CustomStringConvertible {
        public let description: String
    }

    private let settings: WebSettings
    private let logger: Logger
    private let responder: RouterResponder<AppContext>
    /// Method and path of everything that is answered, for whoever compares it with the description.
    let routes: [(method: HTTPRequest.Method, path: String)]
    private let rejections: RejectionLog
    private let onRunning: @Sendable (Int) async -> Void
    private let tally: MirrorTally
    private let feed: StatusFeed
    private let changes: ChangeFeed
    private let watch: MirrorWatch
    private let connections: Connections

    /// - Parameter onRunning: told the port once connections are taken.
    public init(
        settings: WebSettings, store: Store, runs: Runs, pool: Pool, inboxWriter: InboxWriter, account: AccountIdentity,
        hubspot: HubSpotClient, catalog: PropertyCatalog, definitions: Definitions, verification: Verification, metrics: PrometheusMetrics, logger: Logger, onRunning: @escaping @Sendable (Int) async -> Void = { _ in }
    ) throws {
        self.settings = settings
        self.logger = logger
        self.onRunning = onRunning
        var limits = settings.connections
        limits.bodyMax = settings.webhookBodyMax
        connections = Connections(limits: limits, logger: logger)
        let authentication = Authentication(
            adminKey: settings.adminKey, sessions: try Sessions(secret: settings.sessionSecret), trustsProxy: settings.trustsProxy)
        let router = Router(context: AppContext.self, options: .autoGenerateHeadEndpoints)
        let templates = try Templates()
        router.add(middleware: ErrorAnswers(templates: templates))
        HealthRoutes(store: store).add(to: router)
        MetricsRoute(metrics: metrics, hubspot: hubspot, pool: pool, verification: verification).add(to: router)
        OpenAPI.addRoute(to: router)
        let webhooks = WebhookCounters()
        rejections = try RejectionLog(
            secrets: settings.clientSecrets, publicURL: settings.webhookURL, store: store.rejected, logger: logger)
        WebhookReceiver(
            verifier: settings.clientSecrets.isEmpty
                ? nil : try SignatureVerifier(secrets: settings.clientSecrets, allowing: settings.signatureVersions),
            rejections: rejections, publicURL: settings.webhookURL, trustsProxy: settings.trustsProxy, bodyMax: settings.webhookBodyMax, writer: inboxWriter,
            pool: pool, account: account, counters: webhooks
        ).add(to: router)
        LoginRoutes(authentication: authentication).add(to: router)
        let login = RequireLogin(authentication: authentication)
        let streams = EventStreams(authentication: authentication)
        let actions = AdminActions(runs: runs, inbox: store.inbox, mirror: store.mirror, pool: pool)
        tally = MirrorTally(mirror: store.mirror)
        let status = StatusSource(
            tally: tally, runs: runs, stored: store.runs, hubspot: HubSpotHealth(hubspot: hubspot), pool: pool, webhooks: webhooks,
            definitions: definitions, verification: verification)
        let overview = OverviewSource(status: status, inbox: store.inbox, mirror: store.mirror, templates: templates)
        feed = StatusFeed(overview: overview, logger: logger)
        AdminPages(
            authentication: authentication, overview: overview, feed: feed, streams: streams, actions: actions, account: account,
            templates: templates
        ).add(to: router)
        let admin = router.group("/api/admin/hubspot").add(middleware: login)
        StatusRoutes(source: status, feed: feed, streams: streams).add(to: admin)
        SyncRoutes(runs: runs, streams: streams).add(to: admin.group("sync"))
        WebhookLogRoutes(actions: actions).add(to: admin)
        let sources = ReadSources(mirror: store.mirror, hubspot: hubspot)
        RecordRoutes(
            sources: sources, shown: WhileUnchanged(store.watch), live: LiveRecords(hubspot: hubspot, catalog: catalog),
            refresh: RecordRefresh(store: store, hubspot: hubspot, catalog: catalog)
        ).add(to: admin)
        watch = store.watch
        changes = ChangeFeed(changes: store.changes, logger: logger)
        ChangeRoutes(feed: changes, changes: store.changes, authentication: authentication).add(to: admin)
        DefinitionRoutes(definitions: definitions, sources: sources).add(to: admin)
        VerifyRoutes(verification: verification).add(to: admin)
        routes = router.routes.map { ($0.method, "\($0.path)") }
        WebService.addRefusals(to: router, login)
        responder = router.buildResponder()
    }

    /// Paths answer methods that they do not have with 405 and their own ones to OPTIONS. Whatever is below /api/admin needs a login
    /// before it tells even that.
    private static func addRefusals(to router: Router<AppContext>, _ login: RequireLogin) {
        let methods: [HTTPRequest.Method] = [.get, .head, .post, .put, .patch, .delete, .options, .trace, HTTPRequest.Method("QUERY")!]
        let open = router.group()
        let closed = router.group().add(middleware: login)
        let paths = Set(router.routes.map { "\($0.path)" })
        for (path, routes) in Dictionary(grouping: router.routes, by: { "\($0.path)" }) {
            let present = Set(routes.map(\.method))
            let allowed = methods.filter { present.contains($0) || $0 == .options || $0 == .head && present.contains(.get) }
            for method in methods where method == .options || !allowed.contains(method) {
                (path.hasPrefix("/api/admin/hubspot") ? closed : open).on(routes[0].path, method: method) { request, _ -> Response in
                    guard request.method == .options else { throw APIError.notAllowed(but: allowed) }
                    return Response(status: .noContent, headers: [.allow: allowed.map(\.rawValue).joined(separator: ", ")])
                }
            }
        }
        // The router does not fall back to `**` where a longer path begins with the same words.
        var beginnings: Set<String> = ["/api/admin/**"]
        for path in paths where path.hasPrefix("/api/admin/") {
            let words = path.split(separator: "/")
            for count in 2..<words.count { beginnings.insert("/" + words.prefix(count).joined(separator: "/")) }
        }
        for path in beginnings.subtracting(paths) {
            for method in methods where method != .head {
                closed.on(RouterPath(path), method: method) { _, _ -> Response in throw HTTPError(.notFound) }
            }
        }
    }

    public func run() async throws {
        let limits = settings.connections
        let isListening = NIOLockedValueBox(false)
        let application = Application(
            responder: responder,
            server: HTTPServerBuilder { [connections] responder in
                LoopChannel(
                    http: HTTP1Channel(
                        responder: responder,
                        configuration: .init(
                            additionalChannelHandlers: [ConnectionWatch(connections)],
                            httpDecoderConfiguration: .init(maxHeaderFieldSize: limits.headMax, maxHeaderListSize: limits.headMax))))
            },
            configuration: ApplicationConfiguration(
                // A burst of connections is not to be dropped by the kernel, which cuts this to its own limit.
                address: .hostname(settings.host, port: settings.port), backlog: 4096),
            onServerRunning: { [logger, onRunning] channel in
                isListening.withLockedValue { $0 = true }
                let port = channel.localAddress?.port ?? 0
                logger.info("Listening", metadata: ["address": "\(channel.localAddress?.ipAddress ?? "?")", "port": "\(port)"])
                await onRunning(port)
            },
            logger: logger)
        do {
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { await feed.run() }
                group.addTask { await tally.keepWarm() }
                group.addTask { [rejections] in await rejections.run() }
                group.addTask { await changes.run() }
                group.addTask { [watch] in await watch.run() }
                group.addTask { [connections] in await connections.watch() }
                try await application.run()
                group.cancelAll()
            }
        } catch let error as IOError where [EADDRINUSE, EACCES].contains(error.errnoCode) {
            throw BindError(
                description: "port \(settings.port) on \(settings.host) cannot be listened on: stop what uses it, or set PORT or HOST")
        } catch where !(error is CancellationError) && !isListening.withLockedValue({ $0 }) {
            throw BindError(
                description: "HOST is '\(settings.host)', but must be a name or an address of this machine, such as 127.0.0.1 or ::1")
        }
    }
}
