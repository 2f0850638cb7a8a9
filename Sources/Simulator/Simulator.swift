public import Logging
import Model
import NIOConcurrencyHelpers
import NIOCore
import NIOHTTP1
import NIOPosix
public import ServiceLifecycle

/// A local HubSpot: its CRM API over seeded data, with its limits and its faults, and its webhook deliveries.
public final class Simulator: Service, Sendable {
    private struct State {
        var group: MultiThreadedEventLoopGroup?
        var channel: (any Channel)?
        var connections: [ObjectIdentifier: any Channel] = [:]
        var port = 0
        var waiters: [CheckedContinuation<Int, any Error>] = []
    }

    public let settings: SimulatorSettings
    public let world: World
    let api: HubSpotAPI
    private let logger: Logger
    private let state = NIOLockedValueBox(State())

    public init(settings: SimulatorSettings, logger: Logger) {
        self.settings = settings
        self.logger = logger
        world = World(settings: settings)
        api = HubSpotAPI(world: world, settings: settings)
    }

    // MARK: Running

    /// Listens until graceful shutdown or cancellation.
    public func run() async throws {
        _ = try await start()
        // Cancellation ends the wait as graceful shutdown does.
        try? await gracefulShutdown()
        await stop()
    }

    /// Begins to listen; nothing happens when it does already.
    ///
    /// - Returns: the port.
    @discardableResult
    public func start() async throws -> Int {
        if port != 0 { return port }
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 2)
        let respond: @Sendable (Call) -> Answer = { [self] in answer($0) }
        let bootstrap = ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 256)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelInitializer { [self] channel in
                state.withLockedValue { $0.connections[ObjectIdentifier(channel)] = channel }
                channel.closeFuture.whenComplete { [self] _ in
                    state.withLockedValue { $0.connections[ObjectIdentifier(channel)] = nil }
                }
                return channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.configureHTTPServerPipeline()
                    try channel.pipeline.syncOperations.addHandler(HTTPHandler(respond: respond))
                }
            }
        do {
            let channel = try await bootstrap.bind(host: settings.host, port: settings.port).get()
            let port = channel.localAddress?.port ?? settings.port
            let waiters = state.withLockedValue { state in
                state.group = group
                state.channel = channel
                state.port = port
                defer { state.waiters = [] }
                return state.waiters
            }
            for waiter in waiters { waiter.resume(returning: port) }
            logger.info("simulated HubSpot listens", metadata: ["host": "\(settings.host)", "port": "\(port)"])
            return port
        } catch {
            let waiters = state.withLockedValue { state in
                defer { state.waiters = [] }
                return state.waiters
            }
            for waiter in waiters { waiter.resume(throwing: error) }
            try await group.shutdownGracefully()
            throw error
        }
    }

    /// Closes the listener and every connection.
    public func stop() async {
        let (group, channel, connections) = state.withLockedValue { state in
            defer {
                state.group = nil
                state.channel = nil
                state.port = 0
            }
            return (state.group, state.channel, Array(state.connections.values))
        }
        // A connection that is closed already is what we want.
        try? await channel?.close()
        for connection in connections { connection.close(promise: nil) }
        try? await group?.shutdownGracefully()
    }

    /// The port that it listens on; 0 before and after.
    public var port: Int { state.withLockedValue { $0.port } }

    /// Waits until it listens.
    public func waitForPort() async throws -> Int {
        try await withCheckedThrowingContinuation { continuation in
            let port = state.withLockedValue { state in
                if state.port == 0 { state.waiters.append(continuation) }
                return state.port
            }
            if port != 0 { continuation.resume(returning: port) }
        }
    }

    /// `http://host:port` while it listens.
    public var baseURL: String { "http://\(settings.host):\(port)" }

    func answer(_ call: Call) -> Answer {
        if call.target.hasPrefix("/_simulator") {
            return settings.servesControl ? control(call) : APIError.noSuchPath.answer(correlationId: "")
        }
        return api.answer(call)
    }

    // MARK: Switches while it runs

    public var faults: Faults {
        get { api.state.withLockedValue { $0.faults } }
        set { api.state.withLockedValue { $0.faults = newValue } }
    }

    public var latency: Duration {
        get { api.state.withLockedValue { $0.latency } }
        set { api.state.withLockedValue { $0.latency = newValue } }
    }

    public var missingScopes: Set<String> {
        get { api.state.withLockedValue { $0.missingScopes } }
        set { api.state.withLockedValue { $0.missingScopes = newValue } }
    }

    public var token: String {
        get { api.state.withLockedValue { $0.token } }
        set { api.state.withLockedValue { $0.token = newValue } }
    }

    /// nil: no burst limit. The window starts empty.
    public func setRateLimit(_ limit: RateLimit?) { api.state.withLockedValue { $0.window = limit.map(RateWindow.init) } }

    /// The day's calls so far, as if other apps of the account had made some.
    public func setDailyUsed(_ count: Int) { api.state.withLockedValue { $0.dailyUsed = count } }

    // MARK: The judge

    /// Calls by method and endpoint, then by status; status 0 is a connection that was reset.
    public var calls: [String: [Int: Int]] { api.state.withLockedValue { $0.log.counts } }

    public var callCount: Int { api.state.withLockedValue { $0.log.total } }

    /// The most calls under the burst limit that arrived within any window of this length, refused ones included.
    public func maxCallsInAnyWindow(_ interval: Duration) -> Int {
        api.state.withLockedValue { $0.log }.maxInAnyWindow(interval, searches: false)
    }

    public func maxSearchesInAnyWindow(_ interval: Duration) -> Int {
        api.state.withLockedValue { $0.log }.maxInAnyWindow(interval, searches: true)
    }

    public func resetCalls() { api.state.withLockedValue { $0.log = CallLog() } }
}
