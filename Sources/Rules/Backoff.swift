/// How long to wait before trying again: up to twice as long each time, drawn evenly from nothing to that ("full jitter"), so that
/// callers who failed together do not come back together.
public struct Backoff: Sendable, Equatable {
    /// The longest wait after the first failure.
    public let base: Duration
    /// The longest wait at all.
    public let cap: Duration

    public init(base: Duration, cap: Duration) {
        precondition(base > .zero && cap >= base)
        self.base = base
        self.cap = cap
    }

    /// The longest wait after that many failures.
    public func ceiling(failures: Int) -> Duration {
        var ceiling = base
        var left = failures
        while left > 1, ceiling < cap {
            ceiling *= 2
            left -= 1
        }
        return min(ceiling, cap)
    }

    /// - Parameter failures: so far, 1 after the first.
    public func delay(failures: Int, using random: inout some RandomNumberGenerator) -> Duration {
        let (seconds, attoseconds) = ceiling(failures: failures).components
        let microseconds = seconds * 1_000_000 + attoseconds / 1_000_000_000_000
        return .microseconds(Int64.random(in: 0...microseconds, using: &random))
    }
}
