/// What one client, or many, may hold of the service before anything is known about them.
public struct ConnectionLimits: Sendable {
    /// Connections at once. At the limit those that have been silent longest make room for new ones.
    public var connectionsMax: Int
    /// How long a connection may be without a request, or take nothing of its answer.
    public var idleTime: Duration
    /// How long a request's head may take from its first byte, and its body from there.
    public var requestTime: Duration
    /// Bytes of a request's head: the target and all headers.
    public var headMax: Int

    /// Bytes of a body that are read from anybody, wanted or not; the receiver of webhooks sets it to what it takes.
    var bodyMax = 16 << 20

    /// - Parameters:
    ///   - connectionsMax: some 15 KB of memory each.
    ///   - idleTime: longer than the 60 s for which proxies keep unused connections, so that they close them first.
    ///   - requestTime: HubSpot gives up after ten seconds itself.
    public init(
        connectionsMax: Int = 16_384, idleTime: Duration = .seconds(75), requestTime: Duration = .seconds(10), headMax: Int = 32 << 10
    ) {
        self.connectionsMax = connectionsMax
        self.idleTime = idleTime
        self.requestTime = requestTime
        self.headMax = headMax
    }

    /// Beyond `bodyMax`, so that who sends a little too much is told so.
    static let bodyGrace = 1 << 20
}
