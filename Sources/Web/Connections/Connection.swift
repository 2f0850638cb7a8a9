import NIOConcurrencyHelpers
import NIOCore

/// One client's connection and what it is waited for. Its own event loop tells what happens on it; others look and close.
final class Connection: Sendable {
    enum Phase: Sendable {
        /// No byte of a request is there.
        case silent
        /// A part of a request's head is.
        case head
        /// The head is, the body is not.
        case body
        /// A request is there and its answer is not. Takes the time it takes.
        case answer
        /// It was told that nothing will come of it, and has some time to read that.
        case leaving
        case closed
    }

    private struct State {
        var phase = Phase.silent
        var since: NIODeadline
        /// Requests of which the answer is not written.
        var unanswered = 0
        var bodyBytes = 0
        /// Since when the client has taken nothing, though there is something for it.
        var stalledSince: NIODeadline?

        mutating func enter(_ phase: Phase) {
            self.phase = phase
            since = .now()
        }
    }

    let channel: any Channel
    private let state: NIOLockedValueBox<State>

    init(_ channel: any Channel, now: NIODeadline) {
        self.channel = channel
        state = NIOLockedValueBox(State(since: now))
    }

    // MARK: What happens on it

    /// False for what comes after it was given up.
    func received() -> Bool {
        state.withLockedValue { state in
            if state.phase == .silent { state.enter(.head) }
            return state.phase != .closed && state.phase != .leaving
        }
    }

    func leave() { state.withLockedValue { $0.enter(.leaving) } }

    func receivedHead() {
        state.withLockedValue { state in
            state.unanswered += 1
            state.bodyBytes = 0
            state.enter(.body)
        }
    }

    /// False when it is more than anybody takes.
    func receivedBody(_ bytes: Int, max: Int) -> Bool {
        state.withLockedValue { state in
            state.bodyBytes += bytes
            return state.bodyBytes <= max
        }
    }

    func receivedEnd() {
        state.withLockedValue { state in
            guard state.phase == .body else { return }
            state.enter(state.unanswered > 0 ? .answer : .silent)
        }
    }

    func answered() {
        state.withLockedValue { state in
            state.unanswered -= 1
            // Of a request that was answered early the rest is still waited for.
            if state.unanswered == 0, state.phase == .answer { state.enter(.silent) }
        }
    }

    func isTaking(_ isTaking: Bool) { state.withLockedValue { $0.stalledSince = isTaking ? nil : .now() } }

    // MARK: What others ask

    /// Since when it has had no whole request; nil while one is in hand.
    var idleSince: NIODeadline? {
        state.withLockedValue { state in state.unanswered == 0 && state.phase != .closed ? state.since : nil }
    }

    /// Whether nothing was asked for on it that is not answered.
    var isUnasked: Bool { state.withLockedValue { $0.unanswered == 0 } }

    /// Why it has lasted too long; nil when it has not.
    func excess(_ limits: ConnectionLimits, at now: NIODeadline) -> Connections.Reason? {
        state.withLockedValue { state in
            if let stalledSince = state.stalledSince, now - stalledSince > TimeAmount(limits.idleTime) { return .stalled }
            let passed = now - state.since
            return switch state.phase {
            case .silent where passed > TimeAmount(limits.idleTime): .idle
            case .head where passed > TimeAmount(limits.requestTime): .slowHead
            case .leaving where passed > TimeAmount(limits.requestTime): .stalled
            default: nil
            }
        }
    }

    /// Gives its body up when that has taken too long: nothing more is taken from it, and it has some time to be told so.
    ///
    /// - Returns: whether it did so now.
    func leaveWhenLate(_ limits: ConnectionLimits, at now: NIODeadline) -> Bool {
        state.withLockedValue { state in
            guard state.phase == .body, now - state.since > TimeAmount(limits.requestTime) else { return false }
            state.enter(.leaving)
            return true
        }
    }

    /// Gives it up: nothing more is taken from it. Who does so closes the channel.
    ///
    /// - Parameter isBusyToo: also with a request in hand.
    /// - Returns: false when it was given up before, or a request has come meanwhile.
    func giveUp(evenBusy isBusyToo: Bool) -> Bool {
        state.withLockedValue { state in
            guard isBusyToo || state.unanswered == 0, state.phase != .closed else { return false }
            state.phase = .closed
            return true
        }
    }
}
