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
