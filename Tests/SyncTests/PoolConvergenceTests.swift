import Bytes
import Foundation
import Model
import Mongo
import Rules
import Simulator
import Store
import Sync
import TestSupport
import Testing

/// Whatever HubSpot's deliveries go through, the mirror ends up equal to HubSpot.
@Suite(.serialized, .scratchDatabase, .timeLimit(.minutes(5))) struct PoolConvergenceTests {
    /// `SEED=n` replays one world; `SEEDS=n` tries so many.
    static let seeds: ClosedRange<UInt64> = {
        let environment = ProcessInfo.processInfo.environment
        if let seed = environment["SEED"].flatMap(UInt64.init) { return seed...seed }
        if let count = environment["SEEDS"].flatMap(UInt64.init), count > 0 { return 1...count }
        return 1...(environment["QUICK"] == "1" ? 12 : 72)
    }()

    /// Seeds that run side by side; much of each is waiting.
    private static let sideBySide = 4

    /// Duplicated, shuffled and delayed deliveries of creations, updates, deletions, restores, merges in both behaviours, association
    /// edits and privacy deletions of the same few records; reads that fail, and reads that are older than the event; stale pages of a
    /// full sync in between.
    @Test func whateverBecomesOfDeliveriesTheMirrorConverges() async throws {
        let database = ScratchDatabase.current
        let start = ContinuousClock.now
        var sum = Figures()
        try await withThrowingTaskGroup(of: Figures.self) { group in
            var next = Self.seeds.lowerBound
            func add() {
                guard next <= Self.seeds.upperBound else { return }
                let seed = next
                next += 1
                group.addTask { try await Self.converge(seed, database.database(named: "\(database.name)_\(seed)")) }
            }
            for _ in 0..<Self.sideBySide { add() }
            while let figures = try await group.next() {
                sum += figures
                add()
            }
        }
        print(
            "figures: \(Self.seeds.count) worlds converged in \(ContinuousClock.now - start): \(sum.events) events in \(sum.requests) requests, \(sum.mutations) changes, \(sum.calls) calls, \(sum.records) records and \(sum.associations) association lists compared, \(sum.staleEnds) ends in them that left"
        )
        #expect(sum.staleEnds <= max(10, sum.associations / 100))
    }

    private struct Figures: Sendable {
        var events = 0, requests = 0, mutations = 0, calls = 0, records = 0, associations = 0, staleEnds = 0

        static func += (a: inout Self, b: Self) {
            a.events += b.events
            a.requests += b.requests
            a.mutations += b.mutations
            a.calls += b.calls
            a.records += b.records
            a.associations += b.associations
            a.staleEnds += b.staleEnds
        }
    }

    private static func converge(_ seed: UInt64, _ database: MongoDatabase) async throws -> Figures {
        var random = SeededRandom(state: seed)
        let hasFaults = seed % 3 == 0, hasLag = seed % 5 < 2, hasFullSync = seed % 2 == 0
        var figures = Figures()
        try await PoolBench.use(database: database) { settings in
            settings.seed = seed
            settings.mergeKeepsPrimary = seed % 4 < 2
            settings.webhooks.usesGenericPayloads = seed % 7 == 0
            settings.webhooks.duplicateShare = 0.2
            settings.webhooks.shuffles = true
            settings.webhooks.delay = .milliseconds(150)
            settings.webhooks.eventsPerRequestMax = Int.random(in: 1...30, using: &random)
            settings.webhooks.gatheringTime = .milliseconds(5)
            settings.readLag = hasLag ? .milliseconds(200) : .zero
        } _: { bench in
            let world = bench.simulator.world
            let first = try await bench.runs.finished(bench.runs.start(.all(limit: nil)).id)
            try #require(first?.state == .succeeded)
            if hasFaults { bench.simulator.faults = .mixed(0.05) }
            var secrets: [Int64: String] = [:]
            let mix: [Mutation: Double] = [
                .update: 10, .create: 2, .delete: 4, .restore: 4, .merge: 1.5, .associate: 3, .dissociate: 2, .gdpr: 0.7,
            ]
            for step in 0..<50 {
                for id in world.ids(.contacts) { secrets[id] = world.value(.contacts, id, "email") }
                if hasFullSync, step % 10 == 3 { _ = try await bench.runs.start(.all(limit: nil)) }
                figures.mutations += world.mutate(changes: 3, mix: mix, seed: random.next()).values.reduce(0, +)
                try await bench.pace(Int.random(in: 0...15, using: &random))
            }
            try await bench.settle()
            for run in await bench.runs.running { _ = try await bench.runs.finished(run.id) }
            let truth = try await PoolTruth(bench, secrets: secrets)
            #expect(truth.differences.isEmpty, "SEED=\(seed)\n\(truth.differences.prefix(10).joined(separator: "\n"))")
            #expect(bench.simulator.deliveries.dropped == 0, "SEED=\(seed)")
            let deliveries = bench.simulator.deliveries
            figures.events += deliveries.events
            figures.requests += deliveries.requests
            figures.calls += bench.simulator.callCount
            figures.records += truth.records
            figures.associations += truth.associations
            figures.staleEnds += truth.staleEnds
        }
        _ = try await database.run { try $0.command(["dropDatabase": 1]) }
        return figures
    }
}
