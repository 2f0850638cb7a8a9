/// Decides when the next call to a rate-limited server may start. A value: time is passed in, nothing waits here.
///
/// **Never more than the limit at the server.** The server counts a call at some instant between its start and its end, which we
/// cannot know. So a call holds its slot from its start until one interval after its *end*. Take any window of the server and the
/// call in it that started last: every other call in the window arrived less than an interval before that start, or later, hence
/// ended less than an interval before it, or later, hence still held its slot then. As a call starts only while fewer slots are held
/// than the limit has, the window holds at most the limit.
///
/// Instants are durations since any fixed instant of a clock that does not go back.
public struct RateBudget: Sendable {
    /// One call that was let go and has to be handed back by `finish`.
    public struct Call: Sendable, Hashable {
        fileprivate let number: UInt64
        fileprivate let callClass: CallClass
        public let startedAt: Duration
    }

    public enum Decision: Sendable, Equatable {
        case start
        /// Ask again at that instant or after the next `finish`, whichever is first; nil: only a `finish` can change it.
        case wait(until: Duration?)
    }

    /// Why nobody may start.
    public enum PauseReason: String, Sendable {
        /// HubSpot answered 429 for the burst limit.
        case limited
        /// The day's quota is used up.
        case daily
        /// HubSpot moves the account between data centres (477).
        case migrating
    }

    public struct Pause: Sendable, Equatable {
        public let until: Duration
        public let reason: PauseReason

        public init(until: Duration, reason: PauseReason) {
            self.until = until
            self.reason = reason
        }
    }

    public private(set) var limit: RateLimit
    /// The day's quota and what is left of it, as HubSpot said last.
    public private(set) var daily: (limit: Int, remaining: Int)?
    private var pause: Pause?

    private var callCount: UInt64 = 0
    private var underWay: [UInt64: Call] = [:]
    /// Ended calls, earliest end first. Kept for two intervals: one to hold their slots, one to judge `Remaining` headers.
    private var ended: [(at: Duration, startedAt: Duration, callClass: CallClass)] = []
    /// Calls of others that the headers betrayed, held like ours until `until`.
    private var foreign: (count: Int, until: Duration) = (0, .zero)
    /// When the next paced call would start if all were spread evenly at the full limit.
    private var pacedAt: Duration = .zero

    /// What a call without an answer may have spent on its way to the server after we gave it up.
    static let graceWithoutAnswer = Duration.seconds(1)
    /// How many calls may start at once before pacing spreads them: a tenth of the limit.
    private var paceBurst: Int { max(1, limit.calls / 10) }
    private var paceSpacing: Duration { limit.interval / limit.calls }

    public init(_ limit: RateLimit) { self.limit = limit }

    // MARK: Deciding

    /// Whether a call of that class may start now. The caller asks for the most urgent class that waits, no other.
    public func decision(for callClass: CallClass, at now: Duration) -> Decision {
        if let pause, pause.until > now { return .wait(until: pause.until) }
        let first = firstHeld(at: now)
        let others = foreign.until > now ? foreign.count : 0
        let held = underWay.count + ended.count - first + others
        let share = max(1, limit.calls * callClass.sharePercent / 100)
        guard held < share || held < limit.calls && isSqueezedOut(callClass, firstHeld: first) else {
            // The slot whose release makes room, if it is an ended call's; the next change of any kind if others hold some.
            let release = first + (others > 0 ? 0 : held - share)
            var until = release < ended.count ? ended[release].at + limit.interval + .nanoseconds(1) : nil
            if others > 0 { until = min(until ?? foreign.until, foreign.until) }
            return .wait(until: until)
        }
        if callClass.isPaced {
            let earliest = pacedAt - paceSpacing * paceBurst
            if earliest > now { return .wait(until: earliest) }
        }
        return .start
    }

    /// Whether more urgent calls have left this class (and those after it) less than a fiftieth of the limit. It may then use what is
    /// free beyond its share, so that a steady stream of changes below the limit slows a sync down but does not stop it.
    private func isSqueezedOut(_ callClass: CallClass, firstHeld first: Int) -> Bool {
        let own =
            ended[first...].count { $0.callClass >= callClass } + underWay.values.count { $0.callClass >= callClass }
        return own < max(1, limit.calls / 50)
    }

    /// Ended calls before this index have given their slots back.
    private func firstHeld(at now: Duration) -> Int { firstEnded { $0 + limit.interval >= now } }

    /// The first ended call for whose end `isLater` holds, which it then does for all after it.
    private func firstEnded(_ isLater: (Duration) -> Bool) -> Int {
        var low = 0
        var high = ended.count
        while low < high {
            let middle = (low + high) / 2
            if isLater(ended[middle].at) { high = middle } else { low = middle + 1 }
        }
        return low
    }

    // MARK: Counting

    /// Takes a slot. Only after `decision` said `.start` for the same class and instant.
    public mutating func start(_ callClass: CallClass, at now: Duration) -> Call {
        callCount += 1
        let call = Call(number: callCount, callClass: callClass, startedAt: now)
        underWay[call.number] = call
        if callClass.isPaced { pacedAt = max(pacedAt, now) + paceSpacing }
        return call
    }

    /// Its slot is free again one interval later. The second time for the same call nothing happens.
    ///
    /// - Parameter isAnswered: false when no answer came, so that the request may still be on its way to the server.
    public mutating func finish(_ call: Call, at now: Duration, isAnswered: Bool = true) {
        guard underWay.removeValue(forKey: call.number) != nil else { return }
        let end = isAnswered ? now : now + RateBudget.graceWithoutAnswer
        ended.insert((end, call.startedAt, call.callClass), at: firstEnded { $0 > end })
        let useless = firstEnded { $0 + limit.interval * 2 >= now }
        if useless > 256 { ended.removeFirst(useless) }  // rarely, as it moves the rest
    }

    // MARK: What HubSpot says

    /// Takes over what the headers of the answer to `call` say; nil for a header that was not sent or makes no sense.
    ///
    /// `Max` and `Interval` are the limit from now on. A `Remaining` below what our own calls explain means that others use the
    /// same limit: what they took counts as held for one interval.
    public mutating func observe(_ call: Call, max: Int?, interval: Duration?, remaining: Int?, at now: Duration) {
        if let max, (1...1_000_000).contains(max) {
            var length = limit.interval
            if let interval, interval > .zero, interval <= .seconds(86_400) { length = interval }
            limit = RateLimit(calls: max, interval: length)
        }
        guard let remaining, remaining >= 0, remaining <= limit.calls else { return }
        // At most these are ours in the window that the server judged when the call arrived, which was after its start.
        let firstPossible = firstEnded { $0 > call.startedAt - limit.interval }
        let ours = underWay.count + ended.count - firstPossible
        let others = limit.calls - remaining - ours
        if others > 0, others >= foreign.count || foreign.until <= now { foreign = (others, now + limit.interval) }
    }

    public mutating func observe(dailyLimit: Int, remaining: Int) { daily = (dailyLimit, remaining) }

    /// Nobody starts before `instant`. A pause is never shortened by another.
    public mutating func pause(until instant: Duration, _ reason: PauseReason) {
        if let pause, pause.until >= instant { return }
        pause = Pause(until: instant, reason: reason)
    }

    /// Ends every pause.
    public mutating func resume() { pause = nil }

    /// The pause in force.
    public func pause(at now: Duration) -> Pause? { pause.flatMap { $0.until > now ? $0 : nil } }

    /// Calls that could start now if none were paced or paused.
    public func remaining(at now: Duration) -> Int {
        let others = foreign.until > now ? foreign.count : 0
        return max(0, limit.calls - underWay.count - (ended.count - firstHeld(at: now)) - others)
    }
}
