/// Why HubSpot is called, the most urgent first: a waiting call goes before those of every later class.
public enum CallClass: Int, Sendable, CaseIterable, Comparable, Codable, CustomStringConvertible {
    /// A change that HubSpot told us about.
    case webhook
    /// Someone waits for the answer: a read of the API, the status page, `doctor`.
    case live
    /// The search for what changed lately.
    case incremental
    /// The walk over everything.
    case full
    /// Refreshing records that have not been looked at for long.
    case healing

    /// How much of the limit may be in use for one more call of this class to start.
    ///
    /// Each class leaves the next more urgent one something to start with at once: at 100 calls, 3 for webhooks when people read,
    /// 6 and 8 under syncs, which is a burst of 600 and 800 changed records at 100 a call. What is free again comes evenly, because
    /// syncs are paced. 92 % in theory keeps a full sync above 88 % in practice, as a slot is also held while its call is under way
    /// (0.92 × 10 s / 10.3 s at 300 ms a call). Healing is in no hurry.
    public var sharePercent: Int {
        switch self {
        case .webhook: 100
        case .live: 97
        case .incremental: 94
        case .full: 92
        case .healing: 85
        }
    }

    /// A call of this class is only made while at least that much of the day's quota is left, so that a day of heavy syncs, ours or
    /// of other apps of the account, which share the quota, ends with calls for what people and webhooks need.
    ///
    /// Least missed stop first: a record that healing does not refresh is found by the next full sync, and what that does not see has
    /// come by webhook or comes with the incremental sync, which takes few calls and goes on longest. The last twentieth, 12,500 calls
    /// on the smallest plan, is a million changed records at 100 a call: webhooks and live reads have it to the last call.
    public var dailyReservePercent: Int {
        switch self {
        case .webhook, .live: 0
        case .incremental: 5
        case .full: 10
        case .healing: 20
        }
    }

    /// Spread evenly over the window, so that slots also come free evenly and no urgent call finds a long gap.
    var isPaced: Bool { self >= .incremental }

    public static func < (a: Self, b: Self) -> Bool { a.rawValue < b.rawValue }

    public var description: String {
        switch self {
        case .webhook: "webhook"
        case .live: "live"
        case .incremental: "incremental"
        case .full: "full"
        case .healing: "healing"
        }
    }
}
