/// Whether somebody who did not answer lately is worth another call by those who have another choice.
///
/// Closed, everybody calls. After `failuresMax` failures in a row it is open: callers go elsewhere at once, while one probe looks every
/// `pause` whether there is an answer again. Any answer, whoever asked, closes it. A value; time is passed in.
public struct CircuitBreaker: Sendable, Equatable {
    public enum Decision: Sendable, Equatable {
        case call
        /// Go elsewhere, for that long at least.
        case avoid(Duration)
        /// The same, and see to it that one probe looks: nobody else is told to until it has reported or is given up.
        case avoidAndProbe(Duration)
    }

    private enum State: Sendable, Equatable {
        case closed(failures: Int)
        /// No probe before `until`.
        case open(until: Duration)
        /// A probe looks; it is given up at `until`.
        case probing(until: Duration)
    }

    private let failuresMax: Int
    private let pause: Duration
    private let probeTime: Duration
    private var state = State.closed(failures: 0)

    /// - Parameters:
    ///   - failuresMax: in a row, that open it.
    ///   - pause: from a failure to the next probe.
    ///   - probeTime: a probe that has not reported by then is given up.
    public init(failuresMax: Int, pause: Duration, probeTime: Duration = .seconds(60)) {
        self.failuresMax = failuresMax
        self.pause = pause
        self.probeTime = probeTime
    }

    public var isOpen: Bool { if case .closed = state { false } else { true } }

    public mutating func decide(at now: Duration) -> Decision {
        switch state {
        case .closed: return .call
        case .open(let until) where now < until: return .avoid(until - now)
        // The probe may take a while; a caller who comes back after the pause finds out.
        case .probing(let until) where now < until: return .avoid(pause)
        case .open, .probing:
            state = .probing(until: now + probeTime)
            return .avoidAndProbe(pause)
        }
    }

    /// An answer came, be it a refusal.
    public mutating func answered() { state = .closed(failures: 0) }

    /// None came.
    public mutating func failed(at now: Duration) {
        switch state {
        case .closed(let failures): state = failures + 1 < failuresMax ? .closed(failures: failures + 1) : .open(until: now + pause)
        case .probing: state = .open(until: now + pause)
        // A call from before it opened: others must not wait longer for it.
        case .open: break
        }
    }
}
