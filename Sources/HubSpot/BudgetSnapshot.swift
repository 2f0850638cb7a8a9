public import Rules

/// Where the account's limits stand, for the status page.
public struct BudgetSnapshot: Sendable, Equatable {
    public let limit: RateLimit
    /// What this instance may use of the limit; all of it unless it shares it with others.
    public let allotted: Int
    /// Calls that could start now: out of `allotted`, and urgent ones out of what no instance has claimed.
    public let remaining: Int
    public let searchLimit: RateLimit
    public let searchAllotted: Int
    public let searchRemaining: Int
    /// Instances that share the limits; nil when that is not known.
    public let instances: Int?
    /// The day's quota, once HubSpot has told it.
    public let dailyLimit: Int?
    public let dailyRemaining: Int?
    /// Classes that have to leave the rest of the day's quota to more urgent ones.
    public let held: [CallClass]
    /// How long nobody may call yet, and why; nil when calls go out.
    public let pausedFor: Duration?
    public let pauseReason: RateBudget.PauseReason?
    /// Calls under way.
    public let inFlight: Int
    /// Calls that wait for their turn, by class; none of a class for which none does.
    public let waiting: [CallClass: Int]
}
