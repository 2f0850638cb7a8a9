import Rules

/// A budget between callers and a server in virtual time: waiting calls by class, each with a latency of its own.
struct BudgetSimulation {
    var budget: RateBudget
    var server: SlidingServer
    private(set) var now = Duration.zero
    private(set) var started: [CallClass: [Duration]] = [:]
    /// How long each call waited, by class.
    private(set) var waited: [CallClass: [Duration]] = [:]
    private var waiting: [CallClass: [Duration]] = [:]
    private var underWay: [(call: RateBudget.Call, end: Duration, isAnswered: Bool)] = []
    /// Draws a call's latency and where within it the server sees the call (0...1).
    var latency: (inout SeededGenerator) -> (total: Duration, arrival: Double) = { _ in (.milliseconds(300), 0.5) }
    var random: SeededGenerator

    init(_ limit: RateLimit, seed: UInt64) {
        budget = RateBudget(limit)
        server = SlidingServer(limit)
        random = SeededGenerator(seed: seed)
    }

    mutating func ask(_ callClass: CallClass, count: Int = 1) {
        waiting[callClass, default: []] += Array(repeating: now, count: count)
    }

    func count(_ callClass: CallClass) -> Int { started[callClass]?.count ?? 0 }
    func isWaiting(_ callClass: CallClass) -> Bool { waiting[callClass]?.isEmpty == false }

    /// Starts what may start now; the next instant at which anything can happen.
    private mutating func pump() -> Duration? {
        var wake: Duration?
        while let callClass = waiting.filter({ !$0.value.isEmpty }).keys.min() {
            guard case .start = budget.decision(for: callClass, at: now) else {
                if case .wait(let until) = budget.decision(for: callClass, at: now) { wake = until }
                break
            }
            let asked = waiting[callClass]?.removeFirst() ?? now
            let call = budget.start(callClass, at: now)
            let (total, arrival) = latency(&random)
            server.arrive(at: now + total * arrival)
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
