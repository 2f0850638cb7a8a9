public import Rules

/// Where the account's limits stand, for the status page.
public struct BudgetSnapshot: Sendable, Equatable {
    public let limit: RateLimit
    /// Calls that could start now.
    public let remaining: Int
    public let searchLimit: RateLimit
    public let searchRemaining: Int
    /// The day's quota, once HubSpot has told it.
    public let dailyLimit: Int?
    public let dailyRemaining: Int?
    /// How long nobody may call yet, and why; nil when calls go out.
    public let pausedFor: Duration?
    public let pauseReason: RateBudget.PauseReason?
    /// Calls under way.
    public let inFlight: Int
    /// Calls that wait for their turn, by class.
    public let waiting: [CallClass: Int]
}
