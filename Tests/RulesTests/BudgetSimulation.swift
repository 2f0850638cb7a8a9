import Rules

/// A budget between callers and a server in virtual time: waiting calls by class, each with a latency of its own.
struct BudgetSimulation {
    var budget: RateBudget
    var server: SlidingServer
    /// The same server's count of calls that read associations.
    var associations: SlidingServer
    private(set) var now = Duration.zero
    private(set) var started: [CallClass: [Duration]] = [:]
    /// How long each call waited, by class.
    private(set) var waited: [CallClass: [Duration]] = [:]
    private var waiting: [CallClass: [(since: Duration, readsAssociations: Bool)]] = [:]
    private var underWay: [(call: RateBudget.Call, end: Duration, isAnswered: Bool)] = []
    /// Draws a call's latency and where within it the server sees the call (0...1).
    var latency: (inout SeededGenerator) -> (total: Duration, arrival: Double) = { _ in (.milliseconds(300), 0.5) }
    var random: SeededGenerator

    init(_ limit: RateLimit, seed: UInt64) {
        budget = RateBudget(limit)
        server = SlidingServer(limit)
        associations = SlidingServer(limit)
        random = SeededGenerator(seed: seed)
    }

    mutating func ask(_ callClass: CallClass, count: Int = 1, readsAssociations: Bool = false) {
        waiting[callClass, default: []] += Array(repeating: (now, readsAssociations), count: count)
    }

    func count(_ callClass: CallClass) -> Int { started[callClass]?.count ?? 0 }
    func isWaiting(_ callClass: CallClass) -> Bool { waiting[callClass]?.isEmpty == false }

    /// The most urgent call that waits, its class and its place in the queue.
    private func next(readsAssociations: Bool) -> (CallClass, Int)? {
        for callClass in CallClass.allCases {
            if let index = waiting[callClass]?.firstIndex(where: { readsAssociations || !$0.readsAssociations }) { return (callClass, index) }
        }
        return nil
    }

    /// Starts what may start now; the next instant at which anything can happen.
    private mutating func pump() -> Duration? {
        var wake: Duration?
        while true {
            let forAssociations = budget.associationsDecision(at: now)
            guard let (callClass, index) = next(readsAssociations: forAssociations == .start) else {
                if case .wait(let until) = forAssociations { wake = until }
                break
            }
            let decision = budget.decision(for: callClass, at: now)
            guard case .start = decision, let waiter = waiting[callClass]?.remove(at: index) else {
                if case .wait(let until) = decision { wake = until }
                break
            }
            let (asked, readsAssociations) = waiter
            let call = budget.start(callClass, readsAssociations: readsAssociations, at: now)
            let (total, arrival) = latency(&random)
            server.arrive(at: now + total * arrival)
            if readsAssociations { associations.arrive(at: now + total * arrival) }
            underWay.append((call, now + total, true))
            started[callClass, default: []].append(now)
            waited[callClass, default: []].append(now - asked)
        }
        return [wake, underWay.map(\.end).min()].compactMap(\.self).min()
    }

    /// Lets time pass until `end`.
    mutating func run(until end: Duration) {
        while true {
            let next = pump() ?? end
            guard next < end else { break }
            now = max(now, next)
            for call in underWay where call.end <= now { budget.finish(call.call, at: now, isAnswered: call.isAnswered) }
            underWay.removeAll { $0.end <= now }
        }
        now = end
    }
}
