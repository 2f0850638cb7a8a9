public import Rules

/// How to reach one HubSpot account.
public struct HubSpotSettings: Sendable {
    /// Scheme, host and port, without a trailing slash.
    public var baseURL: String
    /// Private-app token or service key. Reaches HubSpot's `Authorization` header and nothing else.
    public var accessToken: String
    public var version: HubSpotVersion
    /// The burst limit until HubSpot's headers say otherwise.
    public var rateLimit: RateLimit
    /// HubSpot sends no headers about this one.
    public var searchRateLimit: RateLimit
    /// For one attempt, from sending to the last byte. HubSpot itself gives up after 100 s (524).
    public var timeout: Duration
    /// Attempts of one call, the first included.
    public var attemptsMax: Int
    /// No attempt begins later than this after the first one began.
    public var retryTime: Duration
    /// Waits between attempts after faults of server or network.
    public var backoff: Backoff
    /// A call waits for a pause (429, 423, 477) that ends within this time and is refused otherwise.
    public var pauseWaitMax: Duration
    /// How often one call looks whether HubSpot answers again while nobody else who waits is let through.
    public var outagePause: Duration

    public init(
        baseURL: String = "https://api.hubapi.com", accessToken: String, version: HubSpotVersion = .dated("2026-09"),
        rateLimit: RateLimit = RateLimit(calls: 100, interval: .seconds(10)),
        searchRateLimit: RateLimit = RateLimit(calls: 5, interval: .seconds(1)), timeout: Duration = .seconds(60), attemptsMax: Int = 6,
        retryTime: Duration = .seconds(120), backoff: Backoff = Backoff(base: .milliseconds(500), cap: .seconds(15)),
        pauseWaitMax: Duration = .seconds(30), outagePause: Duration = .seconds(3)
    ) {
        var baseURL = baseURL
        while baseURL.hasSuffix("/") { baseURL.removeLast() }
        self.baseURL = baseURL
        self.accessToken = accessToken
        self.version = version
        self.rateLimit = rateLimit
        self.searchRateLimit = searchRateLimit
        self.timeout = timeout
        self.attemptsMax = attemptsMax
        self.retryTime = retryTime
        self.backoff = backoff
        self.pauseWaitMax = pauseWaitMax
        self.outagePause = outagePause
    }
}

extension HubSpotSettings: CustomStringConvertible, CustomReflectable {
    /// Without the token.
    public var description: String { "\(baseURL), version \(version), \(rateLimit), search \(searchRateLimit)" }
    /// A dump would otherwise print the token.
    public var customMirror: Mirror { Mirror(self, children: ["description": description]) }
}
