public import Model

/// Slows down guessing of the admin key: after a few failures from one origin, each further one makes it wait longer.
///
/// Bounded: when `originsMax` origins are remembered, those seen longest ago are forgotten. There is no count over all origins: it would
/// let a stranger lock the operator out.
public struct LoginThrottle: Sendable {
    private struct Entry {
        var failures = 0
        var blockedUntil: Timestamp
        var lastSeen: Timestamp
        var lastSuccess: Timestamp?
    }

    static let freeFailures = 5
    static let waitMax: Duration = .seconds(300)
    static let forgetAfter: Duration = .seconds(900)
    static let originsMax = 10_000

    private let sparing: Duration
    private var entries: [String: Entry] = [:]

    /// - Parameter sparing: how long after a success failures from there do not count: behind one proxy others can share the address, and
    ///   who guesses must not be able to shut out who knows.
    public init(sparing: Duration = .zero) { self.sparing = sparing }

    /// How long `origin` has to wait before it may try again; nil when it may try now.
    public func wait(of origin: String, at now: Timestamp) -> Duration? {
        guard let until = entries[origin]?.blockedUntil, until > now else { return nil }
        return until - now
    }

    public mutating func failed(from origin: String, at now: Timestamp) {
        var entry = entries[origin] ?? Entry(blockedUntil: now, lastSeen: now)
        if let lastSuccess = entry.lastSuccess, now - lastSuccess < sparing { return }
        if now - entry.lastSeen > LoginThrottle.forgetAfter { entry.failures = 0 }
        entry.failures += 1
        entry.lastSeen = now
        if entry.failures >= LoginThrottle.freeFailures {
            let wait = Duration.seconds(1 << min(entry.failures - LoginThrottle.freeFailures, 20))
            entry.blockedUntil = now + min(wait, LoginThrottle.waitMax)
        }
        remember(entry, origin)
    }

    public mutating func succeeded(from origin: String, at now: Timestamp) {
        guard sparing > .zero else {
            entries.removeValue(forKey: origin)
            return
        }
        // Most requests are successes soon after another one.
        if let last = entries[origin]?.lastSuccess, now - last < sparing / 10 { return }
        remember(Entry(blockedUntil: now, lastSeen: now, lastSuccess: now), origin)
    }

    private mutating func remember(_ entry: Entry, _ origin: String) {
        entries[origin] = entry
        guard entries.count > LoginThrottle.originsMax else { return }
        // A tenth at once, so that not each new one looks at all.
        for (origin, _) in entries.sorted(by: { $0.value.lastSeen < $1.value.lastSeen }).prefix(LoginThrottle.originsMax / 10) {
            entries.removeValue(forKey: origin)
        }
    }

    /// What of an address stands for one guesser: all of IPv4, the first 64 bits of IPv6, since whoever has one such address has them all.
    public static func origin(of address: String) -> String {
        let text = address.prefix { $0 != "%" }
        guard text.contains(":") else { return String(text) }
        // `::ffff:192.0.2.1`
        if let last = text.split(separator: ":").last, last.contains(".") { return String(last) }
        let halves = text.split(separator: "::", maxSplits: 1, omittingEmptySubsequences: false).map { $0.split(separator: ":") }
        var groups = halves[0]
        if halves.count == 2 {
            let missing = max(0, 8 - groups.count - halves[1].count)
            groups += Array(repeating: "0", count: missing) + halves[1]
        }
        return groups.prefix(4).map { group in
            let digits = group.lowercased().drop { $0 == "0" }
            return digits.isEmpty ? "0" : String(digits)
        }.joined(separator: ":") + "::/64"
    }
}
