import Rules

/// What the limited server sees: arrivals, judged by its rolling window.
struct SlidingServer {
    let limit: RateLimit
    private(set) var arrivals: [Duration] = []

    init(_ limit: RateLimit) { self.limit = limit }

    mutating func arrive(at instant: Duration) { arrivals.append(instant) }

    /// The most arrivals that any window held, both its ends counted.
    var fullest: Int {
        let sorted = arrivals.sorted()
        var first = 0
        var most = 0
        for (last, instant) in sorted.enumerated() {
            while sorted[first] < instant - limit.interval { first += 1 }
            most = max(most, last - first + 1)
        }
        return most
    }
}
