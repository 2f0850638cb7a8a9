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
        fileprivate let readsAssociations: Bool
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

    public internal(set) var limit: RateLimit
    /// Whether the headers have moved `limit` since this was last set to false.
    var hasLearned = false
    private var pause: Pause?

    /// What this instance may use of the limit, and until when it may rely on that; nil: all of it, always.
    private var allotment: (calls: Int, until: Duration)?
    /// The allotments of late and when each began: what headers of calls under way are judged by.
    private var allotments: [(calls: Int, since: Duration)] = []

    private var callCount: UInt64 = 0
    private var underWay: [UInt64: Call] = [:]
    /// Ended calls, earliest end first. Kept for two intervals: one to hold their slots, one to judge `Remaining` headers.
    private var ended: [(at: Duration, call: Call)] = []
    /// Calls of others that the headers betrayed, held like ours until `until`.
    private var foreign: (count: Int, until: Duration) = (0, .zero)
    private var pacing = EvenSpacing()

    /// What a call without an answer may have spent on its way to the server after we gave it up.
    static let graceWithoutAnswer = Duration.seconds(1)
    /// Of the slots, those that calls which read associations may hold. HubSpot counts these by a limit of their own as well: 100 of 100,
    /// 150 of 190, 200 of 250 in ten seconds.
    ///
    /// - Source: platform page, sections 5.9 and 7.1.
    private static let associationsPercent = 75

    public init(_ limit: RateLimit) { self.limit = limit }

    // MARK: Sharing

    /// How many slots may be held: the limit, or what this instance has of it.
    public var allotted: Int { min(limit.calls, allotment?.calls ?? limit.calls) }

    /// From now on at most `calls` slots are held here, until `instant`; after it none is taken until this is called again. What is
    /// held beyond that stays so until it is free by itself.
    public mutating func allot(_ calls: Int, until instant: Duration, at now: Duration) {
        if calls != allotment?.calls {
            allotments.append((calls, now))
            if allotments.count > RateBudget.allotmentsMax { allotments.removeFirst() }
        }
        allotment = (calls, instant)
    }

    /// Some twenty calls' lives of one change a second.
    private static let allotmentsMax = 1024

    /// The smallest allotment in force at any time from `instant` on.
    private func leastAllotted(since instant: Duration) -> Int {
        var least = allotted
        for entry in allotments.reversed() {
            least = min(least, entry.calls)
            if entry.since <= instant { break }
        }
        return least
    }

    /// The allotment that this instance's calls take up, those of the classes up to `last` only: the slots that they hold, and room for
    /// as many beside those of associations as their share leaves.
    public func held(through last: CallClass = .healing, at now: Duration) -> Int {
        let first = firstHeld(at: now)
        return max(
            held(from: first) { $0.callClass <= last },
            (held(from: first) { $0.readsAssociations && $0.callClass <= last } * 100 + RateBudget.associationsPercent - 1) / RateBudget.associationsPercent)
    }

    private func held(from first: Int, by isCounted: (Call) -> Bool) -> Int {
        ended[first...].count { isCounted($0.call) } + underWay.values.count(where: isCounted)
    }

    // MARK: Deciding

    /// Whether a call of that class may start now. The caller asks for the most urgent class that waits, no other; if the call reads
    /// associations, only while `associationsDecision` lets them.
    public func decision(for callClass: CallClass, at now: Duration) -> Decision {
        if let pause, pause.until > now { return .wait(until: pause.until) }
        if let allotment, allotment.until < now { return .wait(until: nil) }
        let first = firstHeld(at: now)
        let others = foreign.until > now ? foreign.count : 0
        let held = underWay.count + ended.count - first + others
        let share = share(of: callClass)
        guard held < share || held < allotted && isSqueezedOut(callClass, firstHeld: first) else {
            // The slot whose release makes room, if it is an ended call's; the next change of any kind if others hold some.
            let release = first + (others > 0 ? 0 : held - share)
            var until = release < ended.count ? ended[release].at + limit.interval + .nanoseconds(1) : nil
            if others > 0 { until = min(until ?? foreign.until, foreign.until) }
            return .wait(until: until)
        }
        if callClass.isPaced {
            // Some at once make up for those that were late. The gap that they leave is bridged by what bulk work leaves free.
            let earliest = pacing.earliest(spacing(of: share), ahead: max(4, share / 25))
            if earliest > now { return .wait(until: earliest) }
        }
        return .start
    }

    /// Slots in use for which one more call of that class may start. Taken from the allotment as if it held its part of the reserve too,
    /// which bulk work leaves free anyway (`RateLimit.reserve`), but at most from the limit.
    private func share(of callClass: CallClass) -> Int {
        let percent = callClass.sharePercent
        let part = allotment == nil ? limit.calls : limit.calls - limit.reserve
        return min(allotted, max(1, min(limit.calls * percent, allotted * limit.calls * percent / part) / 100))
    }

    private func spacing(of share: Int) -> Duration { EvenSpacing.between(share, ahead: 0, per: limit.interval) }

    /// Whether calls that read associations may be asked for at all; those that may not are passed over.
    public func associationsDecision(at now: Duration) -> Decision {
        let first = firstHeld(at: now)
        guard held(from: first, by: \.readsAssociations) >= max(1, allotted * RateBudget.associationsPercent / 100) else { return .start }
        let release = ended[first...].first { $0.call.readsAssociations }
        return .wait(until: release.map { $0.at + limit.interval + .nanoseconds(1) })
    }

    /// Whether more urgent calls have left this class (and those after it) less than a fiftieth of the limit. It may then use what is
    /// free beyond its share, so that a steady stream of changes below the limit slows a sync down but does not stop it.
    private func isSqueezedOut(_ callClass: CallClass, firstHeld first: Int) -> Bool {
        held(from: first) { $0.callClass >= callClass } < max(1, allotted / 50)
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
    public mutating func start(_ callClass: CallClass, readsAssociations: Bool = false, at now: Duration) -> Call {
        callCount += 1
        let call = Call(number: callCount, callClass: callClass, readsAssociations: readsAssociations, startedAt: now)
        underWay[call.number] = call
        if callClass.isPaced { pacing.start(spacing(of: share(of: callClass)), at: now) }
        return call
    }

    /// Its slot is free again one interval later. The second time for the same call nothing happens.
    ///
    /// - Parameter isAnswered: false when no answer came, so that the request may still be on its way to the server.
    public mutating func finish(_ call: Call, at now: Duration, isAnswered: Bool = true) {
        guard underWay.removeValue(forKey: call.number) != nil else { return }
        let end = isAnswered ? now : now + RateBudget.graceWithoutAnswer
        ended.insert((end, call), at: firstEnded { $0 > end })
        let useless = firstEnded { $0 + limit.interval * 2 >= now }
        if useless > 256 { ended.removeFirst(useless) }  // rarely, as it moves the rest
    }

    // MARK: What HubSpot says

    /// Takes over what the headers of the answer to `call` say; nil for a header that was not sent or makes no sense.
    ///
    /// `Max` and `Interval` are the limit from now on. A `Remaining` that is smaller than what is left of our own allotment means that
    /// strangers use the same limit: what they took counts as held for one interval. Sister instances are no strangers: together with
    /// what is ours they never hold more than the limit, so as long as they keep to their allotments, what is left of ours is left
    /// at the server too, whatever they do. Strangers who fit into what no instance uses do no harm and are not looked for.
    public mutating func observe(_ call: Call, max: Int?, interval: Duration?, remaining: Int?, at now: Duration) {
        if let max, (1...1_000_000).contains(max) {
            var length = limit.interval
            if let interval, interval > .zero, interval <= .seconds(86_400) { length = interval }
            let told = RateLimit(calls: max, interval: length)
            if told != limit {
                limit = told
                hasLearned = true
            }
        }
        guard let remaining, remaining >= 0, remaining <= limit.calls else { return }
        // At most these are ours in the window that the server judged when the call arrived, which was after its start.
        let firstPossible = firstEnded { $0 > call.startedAt - limit.interval }
        let ours = underWay.count + ended.count - firstPossible
        let others = leastAllotted(since: call.startedAt) - remaining - ours
        if others > 0, others >= foreign.count || foreign.until <= now { foreign = (others, now + limit.interval) }
    }

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
        return max(0, allotted - underWay.count - (ended.count - firstHeld(at: now)) - others)
    }
}
