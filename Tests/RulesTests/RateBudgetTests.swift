import Foundation
import Rules
import Testing

/// `SEED=n` replays one run; otherwise the same 200 every time.
let seeds: [UInt64] = ProcessInfo.processInfo.environment["SEED"].flatMap(UInt64.init).map { [$0] } ?? Array(1...200)

@Suite struct RateBudgetTests {
    private let limits = ["100/10s", "190/10s", "5/1s", "1/1s", "2/10s", "7/300ms"].compactMap { RateLimit($0) }

    @Test(arguments: seeds) func noWindowOfTheServerEverHoldsMoreThanTheLimit(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let limit = limits[Int(seed) % limits.count]
        var simulation = BudgetSimulation(limit, seed: seed)
        let scales: [Double] = [0.001, 0.1, 1, 3]
        let scale = scales.randomElement(using: &random) ?? 1
        simulation.latency = { random in
            (limit.interval * (Double.random(in: 0...1, using: &random) * scale), Double.random(in: 0...1, using: &random))
        }
        for _ in 0..<150 {
            for callClass in CallClass.allCases where Bool.random(using: &random) {
                simulation.ask(callClass, count: Int.random(in: 0...max(1, limit.calls / 3), using: &random))
            }
            simulation.run(until: simulation.now + limit.interval * Double.random(in: 0...0.5, using: &random))
        }
        #expect(simulation.server.fullest <= limit.calls)
        #expect(simulation.server.arrivals.count >= limit.calls)
    }

    /// HubSpot's own limit of associations is 100 of 100, 150 of 190 and 200 of 250; the rest of the slots are for other calls.
    @Test(arguments: [("100/10s", 100), ("190/10s", 150), ("250/10s", 200), ("5/1s", 3), ("1/1s", 1)])
    func readsOfAssociationsKeepTheirOwnLimitToo(text: String, own: Int) throws {
        let limit = try #require(RateLimit(text))
        for seed in seeds.prefix(4) {
            var random = SeededGenerator(seed: seed)
            var simulation = BudgetSimulation(limit, seed: seed)
            simulation.latency = { random in
                (limit.interval * Double.random(in: 0...0.1, using: &random), Double.random(in: 0...1, using: &random))
            }
            var asked = 0
            for _ in 0..<100 {
                simulation.ask(.webhook, count: Int.random(in: 0...limit.calls, using: &random), readsAssociations: true)
                let others = Int.random(in: 0...limit.calls / 20, using: &random)
                simulation.ask(.live, count: others)
                asked += others
                simulation.run(until: simulation.now + limit.interval * Double.random(in: 0...0.5, using: &random))
            }
            #expect(simulation.associations.fullest <= own)
            #expect(simulation.associations.fullest == max(1, limit.calls * 3 / 4), "as many as there can be")
            #expect(simulation.server.fullest <= limit.calls)
            #expect(simulation.count(.live) * 20 >= asked * 19, "others have what is left, although they are less urgent")
        }
    }

    @Test(arguments: seeds) func aMoreUrgentCallNeverWaitsForALessUrgentOne(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let limit = limits[Int(seed) % limits.count]
        var simulation = BudgetSimulation(limit, seed: seed)
        for _ in 0..<60 {
            let before = CallClass.allCases.map(simulation.count)
            let waitingBefore = CallClass.allCases.first(where: simulation.isWaiting)
            simulation.run(until: simulation.now + limit.interval * Double.random(in: 0...0.3, using: &random))
            // Whoever waited before and still waits was passed by no later class.
            if let first = waitingBefore, simulation.isWaiting(first) {
                for later in CallClass.allCases where later > first { #expect(simulation.count(later) == before[later.rawValue]) }
            }
            for callClass in CallClass.allCases where Bool.random(using: &random) {
                simulation.ask(callClass, count: Int.random(in: 0...limit.calls, using: &random))
            }
        }
    }

    @Test(arguments: ["100/10s", "190/10s", "250/10s"]) func aFullSyncAloneReaches88PercentAt300Milliseconds(text: String) throws {
        let limit = try #require(RateLimit(text))
        var simulation = BudgetSimulation(limit, seed: 1)
        simulation.ask(.full, count: 16_000)
        simulation.run(until: .seconds(600))
        let reached = Double(simulation.count(.full)) / (Double(limit.calls) * 60)
        #expect(reached >= 0.88, "\(reached)")
        #expect(simulation.server.fullest <= limit.calls * 92 / 100)
    }

    @Test func webhookCallsStartAtOnceDuringAFullSync() throws {
        var simulation = BudgetSimulation(try #require(RateLimit("100/10s")), seed: 1)
        simulation.ask(.full, count: 16_000)
        simulation.run(until: .seconds(60))
        simulation.ask(.webhook, count: 8)
        simulation.run(until: .seconds(60) + .milliseconds(1))
        #expect(simulation.count(.webhook) == 8)
        // Beyond what was left free, slots come back one by one, and webhook calls take them first.
        simulation.ask(.webhook, count: 20)
        simulation.run(until: .seconds(64))
        #expect(simulation.count(.webhook) == 28)
    }

    @Test(arguments: CallClass.allCases) func eachClassLeavesItsShare(callClass: CallClass) throws {
        var simulation = BudgetSimulation(try #require(RateLimit("100/10s")), seed: 1)
        simulation.ask(callClass, count: 10_000)
        simulation.run(until: .seconds(100))
        #expect(simulation.server.fullest == callClass.sharePercent)
    }

    @Test func syncsAreSpreadEvenly() throws {
        var simulation = BudgetSimulation(try #require(RateLimit("100/10s")), seed: 1)
        simulation.ask(.full, count: 10_000)
        simulation.run(until: .seconds(1))
        #expect((10...22).contains(simulation.count(.full)), "\(simulation.count(.full))")
    }

    /// Webhooks at HubSpot's limit right after a sync, and at half of it during one: the sync's calls come back as evenly as they went.
    @Test(arguments: ["100/10s", "190/10s", "250/10s"], [50, 300])
    func noUrgentCallFindsALongGapAfterOrDuringASync(text: String, latencyMs: Int) throws {
        let limit = try #require(RateLimit(text))
        for (isOver, share) in [(true, 0.96), (false, 0.5)] {
            var simulation = BudgetSimulation(limit, seed: 1)
            simulation.latency = { _ in (.milliseconds(latencyMs), 0.5) }
            simulation.ask(.full, count: limit.calls * (isOver ? 5 : 100))
            repeat { simulation.run(until: simulation.now + .seconds(1)) } while simulation.now < .seconds(30) || isOver && simulation.isWaiting(.full)
            for _ in 0..<limit.calls * 2 {
                simulation.ask(.webhook)
                simulation.run(until: simulation.now + limit.interval / (Double(limit.calls) * share))
            }
            let longest = try #require(simulation.waited[.webhook]?.max())
            #expect(longest <= .milliseconds(300), "\(longest) when it is over: \(isOver)")
        }
    }

    @Test(arguments: [CallClass.live, .incremental, .full, .healing])
    func bulkWorkGoesOnWhileUrgentWorkIsBelowTheLimit(bulk: CallClass) throws {
        var simulation = BudgetSimulation(try #require(RateLimit("100/10s")), seed: 1)
        simulation.ask(bulk, count: 10_000)
        // 9.5 webhook calls a second of at most 9.7 that 300 ms a call allow.
        for _ in 0..<6_000 {
            simulation.ask(.webhook)
            simulation.run(until: simulation.now + .milliseconds(106))
        }
        #expect(simulation.count(bulk) > 60)
        #expect(simulation.count(.webhook) >= 5_980)
        #expect(simulation.server.fullest <= 100)
    }

    @Test func aCallUnderWayKeepsItsSlot() throws {
        var budget = RateBudget(try #require(RateLimit("1/1s")))
        let call = budget.start(.webhook, at: .zero)
        #expect(budget.decision(for: .webhook, at: .seconds(100)) == .wait(until: nil))
        budget.finish(call, at: .seconds(100))
        #expect(budget.decision(for: .webhook, at: .seconds(101)) == .wait(until: .seconds(101) + .nanoseconds(1)))
        #expect(budget.decision(for: .webhook, at: .seconds(101) + .nanoseconds(1)) == .start)
        budget.finish(call, at: .seconds(200))
        #expect(budget.remaining(at: .seconds(200)) == 1)
    }

    @Test func aCallWithoutAnAnswerKeepsItsSlotLonger() throws {
        var budget = RateBudget(try #require(RateLimit("1/1s")))
        budget.finish(budget.start(.webhook, at: .zero), at: .zero, isAnswered: false)
        #expect(budget.decision(for: .webhook, at: .milliseconds(1900)) != .start)
        #expect(budget.decision(for: .webhook, at: .milliseconds(2001)) == .start)
    }

    @Test func theLimitFollowsTheHeadersUpAndDown() throws {
        var budget = RateBudget(try #require(RateLimit("100/10s")))
        let call = budget.start(.live, at: .zero)
        budget.finish(call, at: .seconds(1))
        budget.observe(call, max: 190, interval: .seconds(10), remaining: 189, at: .seconds(1))
        #expect(budget.limit == RateLimit("190/10s"))
        #expect(budget.remaining(at: .seconds(1)) == 189)
        budget.observe(call, max: 3, interval: .seconds(2), remaining: nil, at: .seconds(1))
        #expect(budget.limit == RateLimit("3/2s"))
        for nonsense in [0, -1, 10_000_000] {
            budget.observe(call, max: nonsense, interval: nil, remaining: nil, at: .seconds(1))
            budget.observe(call, max: 3, interval: .seconds(nonsense), remaining: -5, at: .seconds(1))
        }
        #expect(budget.limit == RateLimit("3/2s"))
    }

    @Test func whatOthersUseIsNotOurs() throws {
        var budget = RateBudget(try #require(RateLimit("100/10s")))
        let call = budget.start(.webhook, at: .zero)
        budget.finish(call, at: .milliseconds(300))
        budget.observe(call, max: 100, interval: .seconds(10), remaining: 39, at: .milliseconds(300))
        #expect(budget.remaining(at: .milliseconds(300)) == 39)
        #expect(budget.decision(for: .webhook, at: .milliseconds(300)) == .start)
        budget.observe(call, max: 100, interval: .seconds(10), remaining: 0, at: .milliseconds(300))
        #expect(budget.decision(for: .webhook, at: .milliseconds(300)) != .start)
        #expect(budget.remaining(at: .seconds(11)) == 100)
    }

    @Test func ourOwnCallsAreNotTakenForOthers() throws {
        var budget = RateBudget(try #require(RateLimit("100/10s")))
        var calls: [RateBudget.Call] = []
        for number in 0..<50 { calls.append(budget.start(.webhook, at: .milliseconds(number))) }
        for (number, call) in calls.enumerated().reversed() {
            budget.finish(call, at: .milliseconds(400))
            budget.observe(call, max: 100, interval: .seconds(10), remaining: 99 - number, at: .milliseconds(400))
        }
        #expect(budget.remaining(at: .milliseconds(400)) == 50)
    }

    @Test func aPauseHoldsEverybody() throws {
        var budget = RateBudget(try #require(RateLimit("100/10s")))
        budget.limited(.burst, retryAfter: nil, at: .seconds(5))
        for callClass in CallClass.allCases { #expect(budget.decision(for: callClass, at: .seconds(14)) == .wait(until: .seconds(15))) }
        #expect(budget.decision(for: .healing, at: .seconds(15)) == .start)
        budget.limited(.burst, retryAfter: .seconds(3), at: .seconds(20))
        #expect(budget.pause(at: .seconds(20)) == .init(until: .seconds(23), reason: .limited))
        budget.limited(.secondly, retryAfter: nil, at: .seconds(20))
        #expect(budget.pause(at: .seconds(20))?.until == .seconds(23), "a pause is not shortened")
        budget.limited(.daily, retryAfter: nil, dailyReset: .seconds(5000), at: .seconds(20))
        #expect(budget.pause(at: .seconds(20)) == .init(until: .seconds(920), reason: .daily), "one call looks in between")
        budget.resume()
        budget.limited(.daily, retryAfter: nil, dailyReset: .seconds(500), at: .seconds(20))
        #expect(budget.pause(at: .seconds(20)) == .init(until: .seconds(500), reason: .daily))
        budget.resume()
        #expect(budget.decision(for: .full, at: .seconds(21)) == .start)
        budget.migrating(retryAfter: .seconds(1_000_000), at: .zero)
        #expect(budget.pause(at: .zero) == .init(until: .seconds(86_400), reason: .migrating))
    }

    @Test func policiesAreKnownByName() {
        #expect(RateBudget.Policy(name: "DAILY") == .daily)
        #expect(RateBudget.Policy(name: "SECONDLY") == .secondly)
        #expect(RateBudget.Policy(name: "TEN_SECONDLY_ROLLING") == .burst)
        #expect(RateBudget.Policy(name: nil) == .burst)
    }
}
