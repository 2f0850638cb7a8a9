/// Which calls came, and when: the judge of a client's limiter.
struct CallLog: Sendable {
    private(set) var counts: [String: [Int: Int]] = [:]
    /// Calls that met a fault.
    private(set) var faults = 0
    /// Arrivals of calls that count towards the burst limit, in nanoseconds.
    private var limited: [Int64] = []
    private var searches: [Int64] = []
    /// Those of `limited` that are about associations.
    private var associations: [Int64] = []
    /// Arrivals kept; the oldest half goes when there are more.
    private static let arrivalsMax = 2_000_000

    mutating func note(_ label: String, _ status: Int) { counts[label, default: [:]][status, default: 0] += 1 }

    mutating func noteFault() { faults += 1 }

    mutating func arrived(_ time: Int64, at endpoint: Endpoint) {
        if endpoint.isSearch { note(time, in: &searches) } else { note(time, in: &limited) }
        if endpoint.isAboutAssociations { note(time, in: &associations) }
    }

    private func note(_ time: Int64, in arrivals: inout [Int64]) {
        arrivals.append(time)
        if arrivals.count > CallLog.arrivalsMax { arrivals.removeFirst(CallLog.arrivalsMax / 2) }
    }

    /// What a limit counts.
    enum Kind { case limited, searches, associations }

    func maxInAnyWindow(_ interval: Duration, _ kind: Kind = .limited) -> Int {
        let times =
            switch kind {
            case .limited: limited.sorted()
            case .searches: searches.sorted()
            case .associations: associations.sorted()
            }
        let length = interval.nanoseconds
        var first = 0
        var most = 0
        for (last, time) in times.enumerated() {
            // A window is as long as the limit's interval and open at its start.
            while time - times[first] >= length { first += 1 }
            most = max(most, last - first + 1)
        }
        return most
    }

    var total: Int { counts.values.reduce(0) { $0 + $1.values.reduce(0, +) } }
    var limitedCount: Int { limited.count }
    var searchCount: Int { searches.count }
}

extension Duration {
    var nanoseconds: Int64 {
        let (seconds, attoseconds) = components
        return seconds * 1_000_000_000 + attoseconds / 1_000_000_000
    }
}
