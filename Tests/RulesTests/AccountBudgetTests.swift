import Model
import Rules
import Testing

/// Fewer than for a single budget: each is minutes of several instances.
private let few = Array(seeds.prefix(24))

@Suite struct AccountBudgetTests {
    private static let limits = ["100/10s", "190/10s", "5/1s", "1/1s", "2/10s", "40/2s"].compactMap { RateLimit($0) }

    /// Whoever comes, goes, dies, stalls or loses messages, and whatever the clocks show.
    @Test(arguments: few) func noWindowOfTheServerHoldsMoreThanTheLimit(seed: UInt64) {
        let limit = Self.limits[Int(seed) % Self.limits.count]
        var simulation = SharingSimulation(limit, seed: seed)
        var random = SeededGenerator(seed: seed ^ 0xABCD)
        simulation.lossShare = seed % 3 == 0 ? 0.1 : 0
        simulation.associationsShare = [0, 0.5, 0.95][Int(seed / 6) % 3]
        simulation.start()
        for _ in 0..<80 {
            switch Int.random(in: 0..<12, using: &random) {
            case 0 where simulation.instances.count < 5: simulation.start().bulk = Bool.random(using: &random) ? 8 : 0
            case 1: if let victim = simulation.instances.randomElement(using: &random) { simulation.kill(victim) }
            case 2:
                if let stalled = simulation.instances.randomElement(using: &random) {
                    stalled.stalledUntil = simulation.time + Double.random(in: 0...40, using: &random)
                }
            case 3: simulation.instances.randomElement(using: &random)?.bulk = [0, 8].randomElement(using: &random) ?? 0
            case 4: simulation.storeOffset += Double.random(in: -0.3...0.3, using: &random)
            default:
                for instance in simulation.instances where Bool.random(using: &random) {
                    instance.waiting[[.webhook, .live, .incremental].randomElement(using: &random) ?? .live, default: 0] +=
                        Int.random(in: 0...max(1, limit.calls / 3), using: &random)
                }
            }
            simulation.run(for: Double.random(in: 0.05...3, using: &random))
            if simulation.instances.isEmpty { simulation.start() }
        }
        #expect(simulation.server.fullest <= limit.calls)
        // A single slot cannot be divided: each of several instances may use its own for associations.
        if limit.calls >= 40 { #expect(simulation.associations.fullest <= limit.calls * 150 / 190) }
        #expect(simulation.server.arrivals.count > limit.calls)
    }

    /// MongoDB goes away for all and comes back while instances are busy, and some die meanwhile.
    @Test(arguments: few) func anOutageOfTheStoreDoesNotBreakTheLimit(seed: UInt64) {
        let limit = Self.limits[Int(seed) % 2]
        var simulation = SharingSimulation(limit, seed: seed)
        var random = SeededGenerator(seed: seed ^ 0x1234)
        for _ in 0..<3 { simulation.start().bulk = Bool.random(using: &random) ? 8 : 0 }
        simulation.run(for: 25)
        for _ in 0..<3 {
            let before = simulation.instances.map(\.started.count)
            simulation.isStoreAway = true
            simulation.run(for: Double.random(in: 1...20, using: &random))
            if simulation.instances.count > 1, Bool.random(using: &random) { simulation.kill(simulation.instances[0]) }
            simulation.run(for: Double.random(in: 1...20, using: &random))
            if simulation.instances.contains(where: { $0.bulk > 0 }), simulation.instances.count == before.count {
                #expect(zip(simulation.instances, before).contains { $0.started.count > $1 + 5 }, "they go on with what they have")
            }
            simulation.isStoreAway = false
            simulation.run(for: Double.random(in: 1...30, using: &random))
        }
        #expect(simulation.server.fullest <= limit.calls)
    }

    @Test(arguments: ["100/10s", "190/10s"], [1, 3]) func busyInstancesTogetherReachWhatOneWould(text: String, count: Int) throws {
        let limit = try #require(RateLimit(text))
        var simulation = SharingSimulation(limit, seed: 5)
        simulation.callTime = 0.3...0.3
        for _ in 0..<count { simulation.start().bulk = 8 }
        simulation.run(for: 30)
        let before = simulation.server.arrivals.count
        simulation.run(for: 60)
        let reached = Double(simulation.server.arrivals.count - before) / Double(limit.calls * 6)
        #expect(reached >= (count == 1 ? 0.88 : 0.84), "\(reached)")
        #expect(simulation.server.fullest <= limit.calls)
    }

    @Test func idleInstancesLeaveTheirCallsToABusyOne() throws {
        let limit = try #require(RateLimit("100/10s"))
        var simulation = SharingSimulation(limit, seed: 6)
        simulation.callTime = 0.3...0.3
        let busy = simulation.start()
        for _ in 0..<2 { simulation.start() }
        simulation.run(for: 5)
        busy.bulk = 8
        simulation.run(for: 30)
        let before = busy.started.count
        simulation.run(for: 60)
        // 96 less two floors of 4, of which bulk work takes 92 of 100.
        #expect(busy.started.count - before >= 6 * 79, "\(busy.started.count - before)")
        // And still each idle one can begin at once.
        for idle in simulation.instances.dropFirst() { idle.waiting[.webhook] = 3 }
        simulation.run(for: 0.02)
        for idle in simulation.instances.dropFirst() { #expect(idle.started.count == 3) }
    }

    /// Both have more urgent calls than they can make; the second only after the first has taken everything.
    @Test(arguments: ["100/10s", "190/10s"]) func whoHasUrgentCallsLaterGetsAsManyAsWhoHadThemBefore(text: String) throws {
        let limit = try #require(RateLimit(text))
        var simulation = SharingSimulation(limit, seed: 11)
        simulation.callTime = 0.3...0.3
        let first = simulation.start()
        let second = simulation.start()
        func run(_ busy: [SharingSimulation.Instance], for seconds: Int) {
            for _ in 0..<seconds * 10 {
                for instance in busy { instance.waiting[.webhook] = limit.calls / 10 }
                simulation.run(for: 0.1)
            }
        }
        run([first], for: 40)
        #expect(first.started.count >= limit.calls * 7 / 2, "an idle one leaves it nearly all")
        run([first, second], for: 60)
        let before = [first.started.count, second.started.count]
        run([first, second], for: 60)
        let shares = [first.started.count - before[0], second.started.count - before[1]]
        #expect(shares.allSatisfy { $0 >= limit.calls * 6 * 2 / 5 }, "\(shares)")
        #expect(simulation.server.fullest <= limit.calls)
    }

    @Test func aLoneInstanceHasTheWholeLimitAtOnce() throws {
        let limit = try #require(RateLimit("100/10s"))
        var simulation = SharingSimulation(limit, seed: 7)
        let alone = simulation.start()
        alone.waiting[.webhook] = 100
        simulation.run(for: 0.5)
        #expect(alone.started.count == 100)
        // After a clean stop, and after a death of long ago, too.
        simulation.run(for: 30)
        simulation.leave(alone)
        let next = simulation.start()
        next.waiting[.webhook] = 100
        simulation.run(for: 0.5)
        #expect(next.started.count == 100)
        simulation.run(for: 30)
        simulation.kill(next)
        simulation.run(for: 60)
        let last = simulation.start()
        last.waiting[.webhook] = 100
        simulation.run(for: 2)
        #expect(last.started.count == 100)
    }

    @Test func aDeadInstancesShareComesBackWithin30Seconds() throws {
        let limit = try #require(RateLimit("100/10s"))
        var simulation = SharingSimulation(limit, seed: 8)
        let dead = simulation.start()
        dead.bulk = 8
        simulation.run(for: 20)
        let heir = simulation.start()
        simulation.kill(dead)
        // Some calls go out at once, whatever the dead one had.
        heir.waiting[.webhook] = 4
        simulation.run(for: 0.1)
        #expect(heir.started.count == 4)
        simulation.run(for: 19)
        heir.waiting[.webhook] = 100
        simulation.run(for: 10.9)
        #expect(heir.started.count == 104)
        #expect(simulation.server.fullest <= 100)
    }

    /// With headers, as HubSpot sends them: both sides yield to what the other has used.
    @Test func anInstanceCutOffAloneDoesNotBreakTheLimitForLong() throws {
        let limit = try #require(RateLimit("100/10s"))
        var simulation = SharingSimulation(limit, seed: 9)
        simulation.tellsRemaining = true
        simulation.callTime = 0.3...0.3
        for _ in 0..<2 { simulation.start().bulk = 8 }
        simulation.run(for: 30)
        simulation.instances[0].isCutOff = true
        simulation.run(for: 40)
        simulation.server = SlidingServer(limit)
        let before = simulation.instances.map(\.started.count)
        simulation.run(for: 60)
        #expect(simulation.server.fullest <= 110, "\(simulation.server.fullest)")
        for (instance, before) in zip(simulation.instances, before) { #expect(instance.started.count > before + 60) }
        simulation.instances[0].isCutOff = false
        simulation.run(for: 30)
        simulation.server = SlidingServer(limit)
        simulation.run(for: 30)
        #expect(simulation.server.fullest <= 100)
    }

    @Test func sistersAreNotTakenForStrangers() throws {
        let limit = try #require(RateLimit("100/10s"))
        var simulation = SharingSimulation(limit, seed: 10)
        simulation.tellsRemaining = true
        simulation.callTime = 0.3...0.3
        for _ in 0..<3 { simulation.start().bulk = 8 }
        simulation.run(for: 30)
        let before = simulation.server.arrivals.count
        simulation.run(for: 60)
        #expect(simulation.server.arrivals.count - before >= 6 * 84, "\(simulation.server.arrivals.count - before)")
    }

    @Test func thoseWhoHaveLeastGetFirst() throws {
        let limit = try #require(RateLimit("100/10s"))
        func targets(_ claims: [String: BudgetLedger.Claim], turn: Int = 0) -> [String: Int] { BudgetLedger.targets(limit, claims, turn: turn) }
        #expect(targets(["a": .init()]) == ["a": 96])
        #expect(targets(["a": .init(wanted: 100), "b": .init()]) == ["a": 92, "b": 4])
        #expect(targets(["a": .init(wanted: 100), "b": .init(wanted: 20)]) == ["a": 76, "b": 20])
        #expect(targets(["a": .init(wanted: 100), "b": .init(wanted: 100), "c": .init(wanted: 100)]) == ["a": 32, "b": 32, "c": 32])
        // Urgent calls before bulk work, wherever they are.
        #expect(targets(["a": .init(urgent: 70, wanted: 70), "b": .init(urgent: 0, wanted: 100)]) == ["a": 70, "b": 26])
        // More members than calls: each has its turn.
        let one = try #require(RateLimit("1/1s"))
        let both = ["a": BudgetLedger.Claim(wanted: 1), "b": BudgetLedger.Claim(wanted: 1)]
        #expect(BudgetLedger.targets(one, both, turn: 0) == ["a": 1, "b": 0] && BudgetLedger.targets(one, both, turn: 1) == ["a": 0, "b": 1])
        #expect(BudgetLedger.targets(one, ["a": .init(wanted: 0), "b": .init(wanted: 1)], turn: 0) == ["a": 0, "b": 1])
    }

    @Test func limitsAndPausesReachTheOthersAndEndWithThem() throws {
        let limit = try #require(RateLimit("100/10s"))
        let search = RateLimit(calls: 5, interval: .seconds(1))
        var first = AccountBudget(general: limit, search: search, sharingAs: "1")
        var second = AccountBudget(general: limit, search: search, sharingAs: "2")
        let store = Timestamp(milliseconds: 1_700_000_000_000)
        func look(_ budget: inout AccountBudget, _ ledger: BudgetLedger, at now: Duration, store: Timestamp) -> BudgetLedger {
            let proposal = budget.propose(on: ledger, storeNow: store, lookedAt: now, at: now, needs: [:])
            budget.confirm(proposal, at: now)
            return proposal.ledger
        }
        var ledger = look(&first, BudgetLedger(), at: .seconds(7), store: store)
        ledger = look(&second, ledger, at: .seconds(900), store: store)
        let call = first[.general].start(.live, at: .seconds(8))
        first[.general].observe(call, max: 190, interval: .seconds(10), remaining: nil, at: .seconds(8))
        first[.general].limited(.daily, retryAfter: .seconds(3600), at: .seconds(8))
        first[.search].limited(.secondly, retryAfter: nil, at: .seconds(8))
        ledger = look(&first, ledger, at: .seconds(8), store: store + .seconds(1))
        ledger = look(&second, ledger, at: .seconds(901), store: store + .seconds(1))
        #expect(second[.general].limit == RateLimit("190/10s"))
        #expect(second[.general].pause(at: .seconds(901)) == .init(until: .seconds(901 + 3600), reason: .daily))
        #expect(second[.search].pause(at: .seconds(901)) == .init(until: .seconds(902), reason: .limited))
        #expect(second[.search].limit == search && second.memberCount == 2)
        // Whoever comes when they are long gone starts afresh.
        var third = AccountBudget(general: limit, search: search, sharingAs: "3")
        _ = look(&third, ledger, at: .zero, store: store + .seconds(60))
        let alone = look(&third, ledger, at: .seconds(2), store: store + .seconds(62))
        #expect(third.memberCount == 1 && alone.members.keys.sorted() == ["3"] && alone.limits.isEmpty && alone.pauses.isEmpty)
        #expect(third[.general].allotted == 96)
    }
}
