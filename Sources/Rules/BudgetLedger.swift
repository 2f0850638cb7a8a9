public import Model

/// The limits that HubSpot counts apart.
public enum BudgetLane: String, Sendable, CaseIterable {
    case general, search
}

/// What the instances of one account have agreed on, as it stands in the store: who may use how much of the limits.
///
/// Instants are of the store's clock, the only one that all instances can look at.
public struct BudgetLedger: Sendable, Equatable {
    /// What one instance has of one limit.
    public struct Claim: Sendable, Equatable {
        /// Slots that it may hold. The claims of all together never exceed the limit.
        public var calls: Int
        /// Slots that its urgent calls hold or wait for.
        public var urgent: Int
        /// Slots that it could use now; the limit when calls had to wait.
        public var wanted: Int

        public init(calls: Int = 0, urgent: Int = 0, wanted: Int = 0) {
            self.calls = calls
            self.urgent = urgent
            self.wanted = wanted
        }
    }

    public struct Member: Sendable, Equatable {
        /// When its claims are free for others, unless it says something new before.
        public var until: Timestamp
        public var claims: [BudgetLane: Claim]

        public init(until: Timestamp, claims: [BudgetLane: Claim]) {
            self.until = until
            self.claims = claims
        }
    }

    public struct Pause: Sendable, Equatable {
        public var until: Timestamp
        public var reason: RateBudget.PauseReason

        public init(until: Timestamp, reason: RateBudget.PauseReason) {
            self.until = until
            self.reason = reason
        }
    }

    /// By an id that no other process ever had, not even an earlier one of the same instance.
    public var members: [String: Member] = [:]
    /// Limits that HubSpot's headers told, where they differ from the configured ones.
    public var limits: [BudgetLane: RateLimit] = [:]
    public var pauses: [BudgetLane: Pause] = [:]

    public init() {}

    /// What each member is meant to have of a limit in the end, the reserve left out: first a little for everybody, then what urgent
    /// calls need, then what is wanted at all, then the rest. At each step those who have least get first.
    ///
    /// - Parameter turn: grows with time. When there are more members than calls, it decides who has none for now.
    public static func targets(_ limit: RateLimit, _ claims: [String: Claim], turn: Int) -> [String: Int] {
        let ids = claims.keys.sorted()
        guard !ids.isEmpty else { return [:] }
        var room = limit.calls - limit.reserve
        let few = min(max(1, limit.reserve), room / ids.count)
        var shares = Array(repeating: 0, count: ids.count)
        let first = room < ids.count ? turn % ids.count : 0
        for step in 0..<4 {
            let caps = ids.map { id in
                switch step {
                case 0: few
                case 1: claims[id]?.urgent ?? 0
                case 2: claims[id]?.wanted ?? 0
                default: limit.calls
                }
            }
            fill(&shares, upTo: caps, from: &room, first: first)
        }
        return Dictionary(uniqueKeysWithValues: zip(ids, shares))
    }

    /// Raises the lowest shares to one level, none beyond its cap, as far as `room` goes.
    private static func fill(_ shares: inout [Int], upTo caps: [Int], from room: inout Int, first: Int) {
        func raised(to level: Int) -> [Int] { zip(shares, caps).map { max($0, min($1, level)) } }
        func cost(_ level: Int) -> Int { zip(raised(to: level), shares).reduce(0) { $0 + $1.0 - $1.1 } }
        var low = 0
        var high = caps.max() ?? 0
        while low < high {
            let middle = (low + high + 1) / 2
            if cost(middle) <= room { low = middle } else { high = middle - 1 }
        }
        room -= cost(low)
        shares = raised(to: low)
        // Less than one for each is left; the next level would take one for each that is below it and its cap.
        for offset in shares.indices where room > 0 {
            let index = (first + offset) % shares.count
            if shares[index] == low, caps[index] > low {
                shares[index] += 1
                room -= 1
            }
        }
    }
}
