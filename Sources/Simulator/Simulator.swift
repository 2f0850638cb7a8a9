public import Logging
import Model
import NIOConcurrencyHelpers
public import ServiceLifecycle

/// A local HubSpot: its CRM API over seeded data, with its limits and its faults, and its webhook deliveries.
public final class Simulator: Service, Sendable {
    private struct State {
        var server: HTTPServer?
        var deliverer: Deliverer?
        var port = 0
        var waiters: [CheckedContinuation<Int, any Error>] = []

        mutating func takeWaiters() -> [CheckedContinuation<Int, any Error>] {
            defer { waiters = [] }
            return waiters
        }
    }

    public let settings: SimulatorSettings
    public let world: World
    let api: HubSpotAPI
    private let logger: Logger
    private let state = NIOLockedValueBox(State())

    /// - Parameter now: the time in milliseconds since 1970.
    public init(settings: SimulatorSettings, now: @escaping @Sendable () -> Int64 = World.wallClock, logger: Logger) {
        self.settings = settings
        self.logger = logger
        world = World(settings: settings, now: now)
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
        let server = HTTPServer { [weak self] in
            self?.compresses ?? false
        } respond: { [weak self] call in
            self?.answer(call) ?? Answer(503)
        }
        do {
            let deliverer = try Deliverer(settings: settings, loop: server.loop)
            let port = try await server.start(host: settings.host, port: settings.port)
            world.setSink { deliverer.take($0) }
            let waiters = state.withLockedValue { state in
                state.server = server
                state.deliverer = deliverer
                state.port = port
                return state.takeWaiters()
            }
            for waiter in waiters { waiter.resume(returning: port) }
            logger.info("simulated HubSpot listens", metadata: ["host": "\(settings.host)", "port": "\(port)"])
            return port
        } catch {
            await server.stop()
            for waiter in state.withLockedValue({ $0.takeWaiters() }) { waiter.resume(throwing: error) }
            throw error
        }
    }

    /// Closes the listener and every connection. Deliveries end where they are; their counters can still be read.
    public func stop() async {
        world.setSink(nil)
        let (server, deliverer) = state.withLockedValue { state in
            defer {
                state.server = nil
                state.port = 0
            }
            return (state.server, state.deliverer)
        }
        guard let server else { return }
        await deliverer?.stop()
        await server.stop()
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
        var answer = api.answer(call)
        answer.headers.append(("Date", (Timestamp.now + settings.clockSkew).httpDate))
        return answer
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

    /// Whether answers are compressed for who accepts it.
    public var compresses: Bool {
        get { api.state.withLockedValue { $0.compresses } }
        set { api.state.withLockedValue { $0.compresses = newValue } }
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
    public func setRateLimit(_ limit: RateLimit?) {
        api.state.withLockedValue { state in
            state.window = limit.map(RateWindow.init)
            state.associations = limit.map { RateWindow($0.ofAssociations) }
        }
    }

    /// The day's calls so far, as if other apps of the account had made some.
    public func setDailyUsed(_ count: Int) { api.state.withLockedValue { $0.dailyUsed = count } }

    // MARK: Webhooks

    var deliverer: Deliverer? { state.withLockedValue { $0.deliverer } }

    /// How deliveries go, from the next event or request on. Has no effect before `start`.
    public var webhooks: DeliverySettings {
        get { deliverer?.settings ?? settings.webhooks }
        set { deliverer?.settings = newValue }
    }

    /// Where events are posted; nil: nowhere. Has no effect before `start`.
    ///
    /// - Returns: false for a URL that is not `http://…`.
    @discardableResult
    public func setWebhookURL(_ url: String?) -> Bool { deliverer?.setURL(url) ?? false }

    public var deliveries: DeliveryCounters { deliverer?.counters ?? DeliveryCounters() }

    public func resetDeliveries() { deliverer?.resetCounters() }

    /// Waits until every webhook event is accepted or given up.
    public func deliveriesSettled() async { await deliverer?.settled() }

    // MARK: The judge

    /// Calls by method and endpoint, then by status; status 0 is a connection that was reset.
    public var calls: [String: [Int: Int]] { api.state.withLockedValue { $0.log.counts } }

    public var callCount: Int { api.state.withLockedValue { $0.log.total } }

    /// The most calls under the burst limit that arrived within any window of this length, refused ones included.
    public func maxCallsInAnyWindow(_ interval: Duration) -> Int {
        api.state.withLockedValue { $0.log }.maxInAnyWindow(interval)
    }

    public func maxSearchesInAnyWindow(_ interval: Duration) -> Int {
        api.state.withLockedValue { $0.log }.maxInAnyWindow(interval, .searches)
    }

    public func maxAssociationsInAnyWindow(_ interval: Duration) -> Int {
        api.state.withLockedValue { $0.log }.maxInAnyWindow(interval, .associations)
    }

    public func resetCalls() { api.state.withLockedValue { $0.log = CallLog() } }
}
