internal import Model
internal import Rules

/// Carries the decisions of `RateBudget` out: calls wait here until they may start, the most urgent class first, first come first
/// served within it. One for the account; search has a budget of its own. Other instances' limiters share both by a ledger.
actor Limiter {
    typealias Lane = BudgetLane

    /// A call that was let go; to be handed back by `finish`.
    struct Permit: Sendable {
        let lane: Lane
        let call: RateBudget.Call
    }

    private struct Waiter {
        let number: UInt64
        let readsAssociations: Bool
        let continuation: CheckedContinuation<Result<Permit, HubSpotError>, Never>
    }

    private var budget: AccountBudget
    private var waiters: [Lane: [CallClass: [Waiter]]] = [:]
    private var alarms: [Lane: (at: Duration, task: Task<Void, Never>)] = [:]
    private var waiterCount: UInt64 = 0
    private var inFlight = 0
    /// Lanes in which a call had to wait since the last look at the ledger.
    private var short: Set<Lane> = []
    /// Lanes for which urgent calls were held back since the last look at the ledger.
    private var heldBack: Set<Lane> = []
    private var onNews: @Sendable () -> Void = {}
    private var utcOffsetMs: Int64?
    private let pauseWaitMax: Duration
    private var breaker: CircuitBreaker
    private let origin = CoreClock.now

    /// Callers that may wait at once. Workers are far fewer; more is a bug that must not eat the memory.
    static let waitersMax = 10_000

    /// - Parameter id: as `AccountBudget`.
    init(
        general: RateLimit, search: RateLimit, pauseWaitMax: Duration, sharingAs id: String? = nil, outagePause: Duration = .seconds(3)
    ) {
        budget = AccountBudget(general: general, search: search, sharingAs: id)
        // One failure is nothing: the next attempt of the same call mostly succeeds.
        breaker = CircuitBreaker(failuresMax: 3, pause: outagePause)
        self.pauseWaitMax = pauseWaitMax
    }

    private var now: Duration { CoreClock.now - origin }

    // MARK: Calls

    /// Returns when the call may start.
    ///
    /// - Throws: `.cancelled`; `.limited` or `.migrating` when everybody is paused for longer than a call waits.
    func acquire(_ lane: Lane, _ callClass: CallClass, readsAssociations: Bool = false) async throws(HubSpotError) -> Permit {
        waiterCount += 1
        let number = waiterCount
        let result = await withTaskCancellationHandler {
            // Nothing suspends between this check and the queue, so a cancellation is seen here or finds the waiter there.
            guard !Task.isCancelled else { return Result<Permit, HubSpotError>.failure(.cancelled) }
            return await withCheckedContinuation { continuation in
                enqueue(Waiter(number: number, readsAssociations: readsAssociations, continuation: continuation), lane, callClass)
            }
        } onCancel: {
            Task { await self.cancel(number, lane, callClass) }
        }
        return try result.get()
    }

    private func enqueue(_ waiter: Waiter, _ lane: Lane, _ callClass: CallClass) {
        guard waiters.values.reduce(0, { $0 + $1.values.reduce(0) { $0 + $1.count } }) < Limiter.waitersMax else {
            waiter.continuation.resume(returning: .failure(HubSpotError(.limited, "too many calls to HubSpot wait already")))
            return
        }
        waiters[lane, default: [:]][callClass, default: []].append(waiter)
        pump(lane)
    }

    private func cancel(_ number: UInt64, _ lane: Lane, _ callClass: CallClass) {
        guard let index = waiters[lane]?[callClass]?.firstIndex(where: { $0.number == number }) else { return }  // it was let go
        waiters[lane]?[callClass]?.remove(at: index).continuation.resume(returning: .failure(.cancelled))
        pump(lane)
    }

    /// The account's time zone, which decides when its day ends.
    func setUTCOffset(milliseconds: Int64) { utcOffsetMs = milliseconds }

    /// The call of `permit` has ended; `headers` are its answer's.
    func finish(_ permit: Permit, headers: LimitHeaders?) {
        inFlight -= 1
        let now = now
        budget[permit.lane].finish(permit.call, at: now, isAnswered: headers != nil)
        if let headers {
            if permit.lane == .general {
                budget[.general].observe(
                    permit.call, max: headers.max, interval: headers.interval, remaining: headers.remaining, at: now)
            }
            if let limit = headers.daily, let remaining = headers.dailyRemaining {
                budget.daily.observe(limit: limit, remaining: remaining, reset: untilDailyReset.map { now + $0 }, at: now)
                refuseHeld(at: now)
            }
        }
        pump(permit.lane)
    }

    private var untilDailyReset: Duration? {
        utcOffsetMs.map { offset in
            let localMs = Timestamp.now.milliseconds + offset
            return Duration.milliseconds(86_400_000 - localMs % 86_400_000)
        }
    }

    // MARK: Sharing

    /// Calls `body` when other instances should hear of something, or urgent calls wait for more than this instance has.
    func setOnNews(_ body: @escaping @Sendable () -> Void) { onNews = body }

    /// Notes that urgent calls are held back before they wait here, because there are so few.
    func holdBack(_ lane: Lane) {
        short.insert(lane)
        heldBack.insert(lane)
    }

    func propose(
        on ledger: BudgetLedger, storeNow: Timestamp, lookedAt: CoreClock.Instant, isLeaving: Bool
    ) -> AccountBudget.Proposal {
        let now = now
        var needs: [Lane: AccountBudget.Need] = [:]
        for lane in Lane.allCases {
            let counts = (waiters[lane] ?? [:]).mapValues(\.count)
            // How many there would be nobody knows; a look a second later there are as many more.
            let heldBack = heldBack.contains(lane) ? budget[lane].limit.reserve : 0
            needs[lane] = .init(
                waiting: counts.values.reduce(0, +),
                urgentWaiting: counts.reduce(0) { $0 + ($1.key.isUrgent ? $1.value : 0) } + heldBack, isShort: short.contains(lane))
        }
        short = []
        heldBack = []
        let proposal = budget.propose(
            on: ledger, storeNow: storeNow, lookedAt: lookedAt - origin, at: now, needs: needs, isLeaving: isLeaving)
        for lane in Lane.allCases { pump(lane) }
        return proposal
    }

    func confirm(_ proposal: AccountBudget.Proposal) {
        budget.confirm(proposal, at: now)
        for lane in Lane.allCases { pump(lane) }
    }

    func storeIsAway() {
        budget.storeIsAway(at: now)
        for lane in Lane.allCases { pump(lane) }
    }

    // MARK: Pauses

    /// Everybody who uses the limit of a 429 pauses; for the day's quota that is everybody.
    func limited(_ permit: Permit, _ policy: RateBudget.Policy, retryAfter: Duration?) {
        let now = now
        for lane in policy == .daily ? Lane.allCases : [permit.lane] {
            budget[lane].limited(policy, retryAfter: retryAfter, dailyReset: untilDailyReset.map { now + $0 }, at: now)
            pump(lane)
        }
        onNews()
    }

    func migrating(retryAfter: Duration?) {
        for lane in Lane.allCases {
            budget[lane].migrating(retryAfter: retryAfter, at: now)
            pump(lane)
        }
        onNews()
    }

    // MARK: Outages

    /// HubSpot answered a call, or it did not.
    func heard(_ isAnswer: Bool) {
        if isAnswer { breaker.answered() } else { breaker.failed(at: now) }
    }

    /// A probe that heard nothing one way or the other, being refused here say, has found no answer either.
    func probeEnded() { if breaker.isOpen { breaker.failed(at: now) } }

    var isDown: Bool { breaker.isOpen }

    func decideOutage() -> CircuitBreaker.Decision { breaker.decide(at: now) }

    // MARK: Letting go

    private func pump(_ lane: Lane) {
        let now = now
        let pause = budget[lane].pause(at: now)
        if let pause, pause.until - now > pauseWaitMax {
            for callClass in CallClass.allCases { refuse(lane, callClass, HubSpotError(pause, for: pause.until - now)) }
            return
        }
        refuseHeld(at: now)
        while let (callClass, index) = next(lane, at: now) {
            switch budget[lane].decision(for: callClass, at: now) {
            case .start:
                guard let waiter = waiters[lane]?[callClass]?.remove(at: index) else { return }
                inFlight += 1
                let call = budget[lane].start(callClass, readsAssociations: waiter.readsAssociations, at: now)
                waiter.continuation.resume(returning: .success(Permit(lane: lane, call: call)))
            case .wait(let until):
                if let until { setAlarm(lane, at: until) }
                guard pause == nil else { return }
                short.insert(lane)
                if callClass.isUrgent, budget.canGrow(lane) { onNews() }
                return
            }
        }
    }

    /// The most urgent call that waits, those aside that read associations while there are no more of them allowed.
    private func next(_ lane: Lane, at now: Duration) -> (callClass: CallClass, index: Int)? {
        var associations: RateBudget.Decision?  // asked for only where it matters
        for callClass in CallClass.allCases {
            guard let queue = waiters[lane]?[callClass], let first = queue.first else { continue }
            if first.readsAssociations {
                let decision = associations ?? budget[lane].associationsDecision(at: now)
                associations = decision
                guard decision == .start else {
                    if let index = queue.firstIndex(where: { !$0.readsAssociations }) { return (callClass, index) }
                    continue
                }
            }
            return (callClass, 0)
        }
        if case .wait(let until?) = associations { setAlarm(lane, at: until) }
        return nil
    }

    /// Refuses the calls whose class has to leave the rest of the day's quota to others. A search counts towards the day as well.
    private func refuseHeld(at now: Duration) {
        for callClass in CallClass.allCases {
            guard let until = budget.daily.hold(for: callClass, at: now) else { continue }
            let error = HubSpotError(
                .limited, "what is left of the account's daily quota of HubSpot calls is kept for more urgent calls than \(callClass)",
                retryAfter: until - now)
            for lane in Lane.allCases { refuse(lane, callClass, error) }
        }
    }

    private func refuse(_ lane: Lane, _ callClass: CallClass, _ error: HubSpotError) {
        for waiter in waiters[lane]?.removeValue(forKey: callClass) ?? [] { waiter.continuation.resume(returning: .failure(error)) }
    }

    /// Pumps at `instant`; an earlier alarm does the same in time.
    private func setAlarm(_ lane: Lane, at instant: Duration) {
        if let alarm = alarms[lane] {
            if alarm.at <= instant { return }
            alarm.task.cancel()
        }
        // A free task, as nobody in particular waits for it; it ends by itself within the wait.
        let task = Task { [weak self, origin] in
            guard (try? await Task.sleep(until: origin + instant, clock: .core)) != nil else { return }  // replaced by an earlier one
            await self?.ring(lane, instant)
        }
        alarms[lane] = (instant, task)
    }

    private func ring(_ lane: Lane, _ instant: Duration) {
        if alarms[lane]?.at == instant { alarms[lane] = nil }
        pump(lane)
    }

    // MARK: Status

    /// Whether calls of that class wait for the limit.
    func isWaiting(_ lane: Lane, _ callClass: CallClass) -> Bool { waiters[lane]?[callClass]?.isEmpty == false }

    var snapshot: BudgetSnapshot {
        let now = now
        var waiting: [CallClass: Int] = [:]
        for lane in waiters.values {
            for (callClass, waiters) in lane where !waiters.isEmpty { waiting[callClass, default: 0] += waiters.count }
        }
        let pause = budget.general.pause(at: now)
        return BudgetSnapshot(
            limit: budget.general.limit, allotted: budget.general.allotted, remaining: budget.remaining(.general, at: now),
            searchLimit: budget.search.limit, searchAllotted: budget.search.allotted, searchRemaining: budget.remaining(.search, at: now),
            instances: budget.memberCount, dailyLimit: budget.daily.limit, dailyRemaining: budget.daily.remaining,
            held: CallClass.allCases.filter { budget.daily.hold(for: $0, at: now) != nil },
            pausedFor: pause.map { $0.until - now }, pauseReason: pause?.reason, inFlight: inFlight, waiting: waiting)
    }
}

extension HubSpotError {
    fileprivate init(_ pause: RateBudget.Pause, for wait: Duration) {
        switch pause.reason {
        case .limited: self.init(.limited, "HubSpot's rate limit is used up", retryAfter: wait)
        case .daily: self.init(.limited, "the account's daily quota of HubSpot calls is used up", retryAfter: wait)
        case .migrating: self.init(.migrating, "HubSpot is moving the account to another data centre", retryAfter: wait)
        }
    }
}
