/// What goes wrong, and how often. Each probability is the share of calls (0...1) that meet that fault; a call meets one at most.
public struct Faults: Sendable, Equatable {
    /// 429 although the limit is not reached.
    public var tooManyRequests = 0.0
    /// 500 with HubSpot's JSON body.
    public var serverError = 0.0
    /// 502 with an HTML page, as the edge sends it.
    public var badGateway = 0.0
    /// 503 with an HTML page.
    public var unavailable = 0.0
    /// 423: the record is locked by heavy writes.
    public var locked = 0.0
    /// 477: the account moves between data centres; carries `Retry-After`.
    public var moving = 0.0
    public var movingRetryAfterSeconds = 1
    /// The right head with the right length, then half of the body, then the end of the connection.
    public var cutBody = 0.0
    /// The connection is reset before anything is answered; the call had no effect.
    public var reset = 0.0
    /// The connection is reset after the call took effect.
    public var resetAfterEffect = 0.0
    /// 200 with a body that is not JSON.
    public var notJSON = 0.0
    /// An answer that takes `slowBy` longer.
    public var slow = 0.0
    public var slowBy = Duration.milliseconds(500)
    /// Nothing works: 503, or a closed connection when `downRefuses`.
    public var down = false
    public var downRefuses = false

    public init() {}

    /// `share` of all calls fail, spread evenly over 429, 500, 502 HTML, cut bodies and resets.
    public static func mixed(_ share: Double) -> Faults {
        var faults = Faults()
        faults.tooManyRequests = share / 5
        faults.serverError = share / 5
        faults.badGateway = share / 5
        faults.cutBody = share / 5
        faults.reset = share / 5
        return faults
    }
}
