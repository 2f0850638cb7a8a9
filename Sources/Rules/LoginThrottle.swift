public import Model

/// Slows down guessing of the admin password: after a few failures from one address, each further one makes it wait longer.
///
/// Bounded: when `addressesMax` addresses are remembered, the one that failed longest ago is forgotten. There is no count over
/// all addresses: it would let a stranger lock the operator out.
public struct LoginThrottle: Sendable {
    private struct Entry {
        var failures: Int
        var blockedUntil: Timestamp
        var lastFailure: Timestamp
    }

    static let freeFailures = 5
    static let waitMax: Duration = .seconds(300)
    static let forgetAfter: Duration = .seconds(900)
    static let addressesMax = 10_000

    private var entries: [String: Entry] = [:]

    public init() {}

    /// How long `address` has to wait before it may try again; nil when it may try now.
    public func wait(of address: String, at now: Timestamp) -> Duration? {
        guard let until = entries[address]?.blockedUntil, until > now else { return nil }
        return until - now
    }

    public mutating func failed(from address: String, at now: Timestamp) {
        var entry = entries[address] ?? Entry(failures: 0, blockedUntil: now, lastFailure: now)
        if now - entry.lastFailure > LoginThrottle.forgetAfter { entry.failures = 0 }
        entry.failures += 1
        entry.lastFailure = now
        if entry.failures >= LoginThrottle.freeFailures {
            let wait = Duration.seconds(1 << min(entry.failures - LoginThrottle.freeFailures, 20))
            entry.blockedUntil = now + min(wait, LoginThrottle.waitMax)
        }
        entries[address] = entry
        if entries.count > LoginThrottle.addressesMax {
            entries = entries.filter { now - $0.value.lastFailure < LoginThrottle.forgetAfter }
            if entries.count > LoginThrottle.addressesMax, let oldest = entries.min(by: { $0.value.lastFailure < $1.value.lastFailure }) {
                entries.removeValue(forKey: oldest.key)
            }
        }
    }

    public mutating func succeeded(from address: String) { entries.removeValue(forKey: address) }
}
