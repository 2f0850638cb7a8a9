public import Model

/// All limits of one HubSpot account as one instance sees them, and its side of sharing them with the other instances.
///
/// **Together never more than the limit.** Each instance lets calls start only while it holds fewer slots than its allotment
/// (`RateBudget`), and the proof there needs only that all slots held anywhere are at most the limit. That is kept by three rules:
/// an instance lowers its allotment *before* it writes the smaller claim, and claims no less than it still holds; it raises it only
/// *after* the larger claim was written; and a claim is only written by compare-and-set on top of claims that leave room for it. So
/// at every instant what is held and what may still be are within the claim of each, and the claims add up to at most the limit. A
/// slot counts as held until one interval after its call's end, so what is given away has left HubSpot's rolling window. Only who was
/// taken for dead may come back holding more than there is left for him: he claims it and starts nothing before it is free again. A
/// write with an unknown outcome does no harm: if it was to lower a claim, the ledger may say more than is used; if to raise it, more
/// than is allotted; and the next successful write outdates it for good.
///
/// **The dead.** A claim holds for `trust` (how long its owner relies on it without news), one interval for the calls to leave the
/// window, and some allowance: 16 s at an interval of 10. A process that was stalled longer than `trust` starts nothing before it has
/// looked at the store again. Whoever sees an outdated claim waits `grace` before he takes it: after an outage of the store all claims
/// are outdated, and their owners must have the time to say that they live. Only durations are compared, each by one clock, so
/// clocks that differ do not matter.
///
/// **Without the store.** An instance that cannot reach it goes on with what it has: it cannot know whether the others can, and their
/// shares and its own are still within the limit if they cannot either, which is the usual case. A lone one thereby keeps everything.
/// If it alone is cut off, the others take its claim over after the time above, and the limit could be passed by as much as that
/// claim. Not for long, though: every answer tells how many calls are `Remaining` in the window, and no instance, cut off or not,
/// starts more than that (`RateBudget.observe`), so both sides yield to what the other has used, and a 429 pauses whoever gets it. Search
/// has no such header; there a 429 costs a second. (In the tests' simulation a window then holds at most 110 of 100.) One that starts
/// without the store takes the reserve, which nobody claims for long.
///
/// A value: time is passed in; what it proposes is carried out by others.
public struct AccountBudget: Sendable {
    /// What one limit's waiting calls say.
    public struct Need: Sendable {
        public var waiting: Int
        /// Those of them that are urgent (`CallClass.isUrgent`).
        public var urgentWaiting: Int
        /// Whether any call had to wait since the last look, other than for a pause.
        public var isShort: Bool

        public init(waiting: Int = 0, urgentWaiting: Int = 0, isShort: Bool = false) {
            self.waiting = waiting
            self.urgentWaiting = urgentWaiting
            self.isShort = isShort
        }
    }

    /// What to write, and what holds once it is written.
    public struct Proposal: Sendable {
        public let ledger: BudgetLedger
        /// Look again after that time at the latest.
        public let lookAgainAfter: Duration
        fileprivate let lookedAt: Duration
        /// What may be held once it is written.
        fileprivate let allotments: [BudgetLane: Int]
        /// What nobody has claimed then.
        fileprivate let unclaimed: [BudgetLane: Int]
    }

    public private(set) var general: RateBudget
    public private(set) var search: RateBudget
    public var daily = DailyQuota()
    private let configured: [BudgetLane: RateLimit]

    /// nil: no other instance, or none that we know of, and the whole limit is ours.
    private let id: String?
    /// When each other member's claim was first seen to be outdated.
    private var outdated: [String: Duration] = [:]
    private var hasClaim = false
    private var unclaimed: [BudgetLane: Int] = [:]
    private var trustedUntil: Duration = .zero
    /// Instances that share the account, this one included; nil before the ledger was seen, or without one.
    public private(set) var memberCount: Int?

    /// How long an instance relies on what it last wrote without hearing from the store.
    public static let trust: Duration = .seconds(4)
    /// For a call on its way when its instance stalls, and for clocks of different speed.
    static let allowance: Duration = .seconds(2)
    static let grace: Duration = .milliseconds(1500)
    static let lookEvery: Duration = .seconds(1)
    /// How long a member without calls has to wait for its turn when there are more members than calls.
    private static let turn: Duration = .seconds(10)

    /// - Parameter id: of this process, unique for all time; nil when it shares with nobody.
    public init(general: RateLimit, search: RateLimit, sharingAs id: String? = nil) {
        self.general = RateBudget(general)
        self.search = RateBudget(search)
        configured = [.general: general, .search: search]
        self.id = id
        guard id != nil else { return }
        for lane in BudgetLane.allCases { self[lane].allot(0, until: .zero - .seconds(1), at: .zero) }
    }

    public subscript(lane: BudgetLane) -> RateBudget {
        get { lane == .general ? general : search }
        _modify { if lane == .general { yield &general } else { yield &search } }
    }

    /// Whether a look at the ledger may give this instance more of a limit.
    public func canGrow(_ lane: BudgetLane) -> Bool { id != nil && self[lane].allotted < self[lane].limit.calls }

    // MARK: Sharing

    /// Looks at the ledger and decides what to write. Allotments that shrink do so at once, others when the write is confirmed.
    ///
    /// - Parameters:
    ///   - storeNow: the store's clock when it gave the ledger out.
    ///   - lookedAt: our clock when it was asked for, from which on the claim is relied on, since `storeNow` cannot be earlier.
    ///   - isLeaving: keeps only what is held, for as long as it is.
    /// - Precondition: the budget is shared.
    public mutating func propose(
        on ledger: BudgetLedger, storeNow: Timestamp, lookedAt: Duration, at now: Duration, needs: [BudgetLane: Need], isLeaving: Bool = false
    ) -> Proposal {
        guard let id else { preconditionFailure("a budget that is not shared has no ledger") }
        var next = ledger
        var lookAgainAfter = AccountBudget.lookEvery
        for (other, member) in ledger.members where other != id {
            guard member.until < storeNow else {
                outdated[other] = nil
                continue
            }
            let since = outdated[other, default: now]
            outdated[other] = since
            let left = AccountBudget.grace - (now - since)
            if left <= .zero { next.members[other] = nil } else { lookAgainAfter = min(lookAgainAfter, left + .milliseconds(1)) }
        }
        outdated = outdated.filter { next.members[$0.key] != nil }
        memberCount = next.members.count + (next.members[id] == nil ? 1 : 0)
        // What nobody alive has said is forgotten: a limit of another plan, a pause that an operator's restart is to end.
        if next.members.allSatisfy({ $0.key == id || $0.value.until < storeNow }) {
            next.limits = [:]
            next.pauses = [:]
        }
        var member = BudgetLedger.Member(until: storeNow, claims: [:])
        var interval = Duration.zero
        var allotments: [BudgetLane: Int] = [:]
        for lane in BudgetLane.allCases {
            exchange(lane, with: &next, storeNow: storeNow, at: now)
            let own = ledger.members[id]?.claims[lane]?.calls ?? 0
            var claim = claim(lane, own: own, among: next, needs[lane] ?? Need(), storeNow, at: now)
            if isLeaving { claim = .init() }
            if claim.calls < self[lane].allotted { self[lane].allot(claim.calls, until: trustedUntil, at: now) }
            allotments[lane] = claim.calls
            // What is held cannot be taken back, even if it is more than what there is for us.
            claim.calls = max(claim.calls, self[lane].held(at: now))
            member.claims[lane] = claim
            interval = max(interval, self[lane].limit.interval)
        }
        member.until = storeNow + (isLeaving ? .zero : AccountBudget.trust) + interval + AccountBudget.allowance
        var unclaimed: [BudgetLane: Int] = [:]
        for lane in BudgetLane.allCases {
            let others = next.members.filter { $0.key != id }.reduce(0) { $0 + ($1.value.claims[lane]?.calls ?? 0) }
            unclaimed[lane] = max(0, self[lane].limit.calls - others - (member.claims[lane]?.calls ?? 0))
        }
        next.members[id] = isLeaving && member.claims.values.allSatisfy { $0.calls == 0 } ? nil : member
        return Proposal(ledger: next, lookAgainAfter: lookAgainAfter, lookedAt: lookedAt, allotments: allotments,
            unclaimed: unclaimed)
    }

    /// Limits and pauses, both ways.
    private mutating func exchange(_ lane: BudgetLane, with ledger: inout BudgetLedger, storeNow: Timestamp, at now: Duration) {
        if self[lane].hasLearned {
            ledger.limits[lane] = self[lane].limit
            self[lane].hasLearned = false
        } else if let told = ledger.limits[lane] {
            self[lane].limit = told
        } else if self[lane].limit != configured[lane] {
            ledger.limits[lane] = self[lane].limit
        }
        if let pause = ledger.pauses[lane], pause.until > storeNow {
            self[lane].pause(until: now + (pause.until - storeNow), pause.reason)
        }
        if let pause = self[lane].pause(at: now) {
            let until = storeNow + (pause.until - now)
            // A millisecond of rounding is no news.
            if ledger.pauses[lane].map({ $0.until + .milliseconds(50) < until }) ?? true {
                ledger.pauses[lane] = .init(until: until, reason: pause.reason)
            }
        } else {
            ledger.pauses[lane] = nil
        }
    }

    private func claim(
        _ lane: BudgetLane, own: Int, among ledger: BudgetLedger, _ need: Need, _ storeNow: Timestamp, at now: Duration
    ) -> BudgetLedger.Claim {
        let limit = self[lane].limit
        let held = self[lane].held(at: now)
        var claim = BudgetLedger.Claim()
        claim.urgent = min(limit.calls, self[lane].held(through: .live, at: now) + need.urgentWaiting)
        claim.wanted = need.isShort ? limit.calls : min(limit.calls, held + need.waiting)
        var all = ledger.members.compactMapValues { $0.claims[lane] }
        all[id ?? ""] = nil
        let others = all.values.reduce(0) { $0 + $1.calls }
        all[id ?? ""] = claim
        let turn = Int(storeNow.milliseconds / AccountBudget.turn.milliseconds)
        let target = BudgetLedger.targets(limit, all, turn: turn)[id ?? ""] ?? 0
        // The reserve is for those who have less than a little, and for urgent calls; beyond it, what is ours is another's as well.
        let urgent = need.urgentWaiting > 0 ? min(held + need.urgentWaiting, target + limit.reserve) : 0
        let pressing = max(min(target, max(1, limit.reserve)), urgent)
        let room = max(0, limit.calls - others)
        claim.calls = min(room, max(pressing, min(target, max(own, room - limit.reserve))))
        return claim
    }

    /// The proposal was written.
    public mutating func confirm(_ proposal: Proposal, at now: Duration) {
        // Its claim may be another's by now when the answer comes very late; the next look tells.
        guard now - proposal.lookedAt <= AccountBudget.trust else { return }
        hasClaim = true
        trustedUntil = max(trustedUntil, proposal.lookedAt + AccountBudget.trust)
        unclaimed = proposal.unclaimed
        for (lane, calls) in proposal.allotments { self[lane].allot(calls, until: trustedUntil, at: now) }
    }

    /// The store cannot be reached, as at `now`. What is held goes on to be; who has nothing, or has looked away for so long that it may
    /// be another's by now, takes the reserve.
    public mutating func storeIsAway(at now: Duration) {
        guard id != nil else { return }
        let isSure = hasClaim && (memberCount == 1 || now <= trustedUntil + AccountBudget.lookEvery)
        trustedUntil = max(trustedUntil, now + AccountBudget.trust)
        for lane in BudgetLane.allCases {
            let calls = isSure ? self[lane].allotted : max(1, self[lane].limit.reserve)
            self[lane].allot(calls, until: trustedUntil, at: now)
        }
        hasClaim = true
        unclaimed = [:]
    }

    /// Calls that could start now or, if they are urgent, within one look at the ledger.
    public func remaining(_ lane: BudgetLane, at now: Duration) -> Int { self[lane].remaining(at: now) + unclaimed[lane, default: 0] }
}

extension CallClass {
    /// Whether somebody waits for it, or a change that HubSpot told us about.
    public var isUrgent: Bool { self <= .live }
}
