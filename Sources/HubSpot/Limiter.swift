internal import FoundationEssentials
internal import Rules

/// Carries the decisions of `RateBudget` out: calls wait here until they may start, the most urgent class first, first come first
/// served within it. One for the account; search has a budget of its own.
actor Limiter {
    enum Lane: Sendable, CaseIterable { case general, search }

    /// A call that was let go; to be handed back by `finish`.
    struct Permit: Sendable {
        let lane: Lane
        let call: RateBudget.Call
    }

    private struct Waiter {
        let number: UInt64
        let continuation: CheckedContinuation<Result<Permit, HubSpotError>, Never>
    }

    private var general: RateBudget
    private var search: RateBudget
    private var waiters: [Lane: [CallClass: [Waiter]]] = [:]
    private var alarms: [Lane: (at: Duration, task: Task<Void, Never>)] = [:]
    private var waiterCount: UInt64 = 0
    private var inFlight = 0
    private var utcOffsetMs: Int64?
    private let pauseWaitMax: Duration
    private let origin = ContinuousClock.now

    /// Callers that may wait at once. Workers are far fewer; more is a bug that must not eat the memory.
    static let waitersMax = 10_000

    init(general: RateLimit, search: RateLimit, pauseWaitMax: Duration) {
        self.general = RateBudget(general)
        self.search = RateBudget(search)
        self.pauseWaitMax = pauseWaitMax
    }

    private subscript(lane: Lane) -> RateBudget {
        get { lane == .general ? general : search }
        _modify { if lane == .general { yield &general } else { yield &search } }
    }

    private var now: Duration { ContinuousClock.now - origin }

    // MARK: Calls

    /// Returns when the call may start.
    ///
    /// - Throws: `.cancelled`; `.limited` or `.migrating` when everybody is paused for longer than a call waits.
    func acquire(_ lane: Lane, _ callClass: CallClass) async throws(HubSpotError) -> Permit {
        waiterCount += 1
        let number = waiterCount
        let result = await withTaskCancellationHandler {
            // Nothing suspends between this check and the queue, so a cancellation is seen here or finds the waiter there.
            guard !Task.isCancelled else { return Result<Permit, HubSpotError>.failure(.cancelled) }
            return await withCheckedContinuation { continuation in
                enqueue(Waiter(number: number, continuation: continuation), lane, callClass)
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
        self[permit.lane].finish(permit.call, at: now, isAnswered: headers != nil)
        if let headers {
            if permit.lane == .general {
                general.observe(
                    permit.call, max: headers.max, interval: headers.interval, remaining: headers.remaining, at: now)
            }
            if let limit = headers.daily, let remaining = headers.dailyRemaining {
                general.observe(dailyLimit: limit, remaining: remaining)
            }
        }
        pump(permit.lane)
    }

    // MARK: Pauses

    /// Everybody who uses the limit of a 429 pauses; for the day's quota that is everybody.
    func limited(_ permit: Permit, _ policy: RateBudget.Policy, retryAfter: Duration?) {
        let now = now
        let untilDailyReset = utcOffsetMs.map { offset in
            let localMs = Int64(Date().timeIntervalSince1970 * 1000) + offset
            return Duration.milliseconds(86_400_000 - localMs % 86_400_000)
        }
        for lane in policy == .daily ? Lane.allCases : [permit.lane] {
            self[lane].limited(policy, retryAfter: retryAfter, dailyReset: untilDailyReset.map { now + $0 }, at: now)
            pump(lane)
        }
    }

    func migrating(retryAfter: Duration?) {
        for lane in Lane.allCases {
            self[lane].migrating(retryAfter: retryAfter, at: now)
            pump(lane)
        }
    }

    // MARK: Letting go

    private func pump(_ lane: Lane) {
        let now = now
        if let pause = self[lane].pause(at: now), pause.until - now > pauseWaitMax {
            refuseAll(lane, pause, at: now)
            return
        }
        while let callClass = CallClass.allCases.first(where: { waiters[lane]?[$0]?.isEmpty == false }) {
            switch self[lane].decision(for: callClass, at: now) {
            case .start:
                guard let waiter = waiters[lane]?[callClass]?.removeFirst() else { return }
                inFlight += 1
                waiter.continuation.resume(returning: .success(Permit(lane: lane, call: self[lane].start(callClass, at: now))))
            case .wait(let until):
                if let until { setAlarm(lane, at: until) }
                return
            }
        }
    }

    private func refuseAll(_ lane: Lane, _ pause: RateBudget.Pause, at now: Duration) {
        let error = HubSpotError(pause, for: pause.until - now)
        for waiter in (waiters[lane] ?? [:]).values.joined() { waiter.continuation.resume(returning: .failure(error)) }
        waiters[lane] = [:]
    }

    /// Pumps at `instant`; an earlier alarm does the same in time.
    private func setAlarm(_ lane: Lane, at instant: Duration) {
        if let alarm = alarms[lane] {
            if alarm.at <= instant { return }
            alarm.task.cancel()
        }
        // A free task, as nobody in particular waits for it; it ends by itself within the wait.
        let task = Task { [weak self, origin] in
            guard (try? await Task.sleep(until: origin + instant, clock: .continuous)) != nil else { return }  // replaced by an earlier one
            await self?.ring(lane, instant)
        }
        alarms[lane] = (instant, task)
    }

    private func ring(_ lane: Lane, _ instant: Duration) {
        if alarms[lane]?.at == instant { alarms[lane] = nil }
        pump(lane)
    }

    // MARK: Status

    var snapshot: BudgetSnapshot {
        let now = now
        var waiting: [CallClass: Int] = [:]
        for lane in waiters.values {
            for (callClass, waiters) in lane where !waiters.isEmpty { waiting[callClass, default: 0] += waiters.count }
        }
        let pause = general.pause(at: now)
        return BudgetSnapshot(
            limit: general.limit, remaining: general.remaining(at: now), searchLimit: search.limit,
            searchRemaining: search.remaining(at: now), dailyLimit: general.daily?.limit, dailyRemaining: general.daily?.remaining,
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
