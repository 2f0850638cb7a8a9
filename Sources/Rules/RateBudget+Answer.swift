extension RateBudget {
    /// Which limit a 429 is about.
    ///
    /// - Source: platform page, section 7.3, `policyName`.
    public enum Policy: Sendable, Equatable {
        case burst, secondly, daily

        /// Unknown names are read as the burst limit, the only one that the headers speak of.
        public init(name: String?) {
            switch name {
            case "DAILY": self = .daily
            case "SECONDLY": self = .secondly
            default: self = .burst
            }
        }
    }

    /// Pauses everybody after a 429: for `retryAfter` if HubSpot sent it, else one interval, one second, or for the day's quota until
    /// `dailyReset` or a quarter of an hour, whichever is sooner.
    public mutating func limited(_ policy: Policy, retryAfter: Duration?, dailyReset: Duration? = nil, at now: Duration) {
        let wait: Duration =
            switch policy {
            case .burst: retryAfter ?? limit.interval
            case .secondly: retryAfter ?? .seconds(1)
            case .daily: retryAfter ?? min(dailyReset.map { max($0 - now, .seconds(1)) } ?? RateBudget.dailyProbe, RateBudget.dailyProbe)
            }
        pause(until: now + min(wait, RateBudget.pauseMax), policy == .daily ? .daily : .limited)
    }

    /// Pauses everybody while HubSpot moves the account: for `retryAfter`, else a minute.
    public mutating func migrating(retryAfter: Duration?, at now: Duration) {
        pause(until: now + min(retryAfter ?? .seconds(60), RateBudget.pauseMax), .migrating)
    }

    /// One refused call in this time finds out that there is quota again: a new day, or more that was bought.
    static var dailyProbe: Duration { .seconds(900) }
    /// HubSpot documents waits of up to a day; more is taken for nonsense.
    static var pauseMax: Duration { .seconds(86_400) }
}
