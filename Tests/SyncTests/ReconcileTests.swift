import Bytes
import Foundation
import Model
import Mongo
import Simulator
import Store
import Sync
import TestSupport
import Testing

/// What webhooks did not say is found by an incremental sync, and what no search shows by a reconcile, neither of which walks
/// everything.
@Suite(.scratchDatabase, .timeLimit(.minutes(5))) struct ReconcileTests {
    /// `SEED=n` replays one history; otherwise the same ones every time.
    static let seeds: [UInt64] = ProcessInfo.processInfo.environment["SEED"].flatMap(UInt64.init).map { [$0] } ?? Array(1...40)

    /// All but privacy deletions, whose event alone tells of them before the next full sync.
    private static let mix: [Mutation: Double] = [
        .update: 10, .create: 2, .delete: 4, .restore: 3, .merge: 2, .associate: 3, .dissociate: 3,
    ]

    @Test(arguments: seeds) func afterATimeWithoutWebhooksIncrementalAndReconcileMakeTheMirrorEqual(seed: UInt64) async throws {
        try await PoolBench.use { settings in
            settings.seed = seed
            settings.contacts = 60
            settings.companies = 20
            settings.deals = 25
            settings.mergeKeepsPrimary = seed.isMultiple(of: 2)
            settings.webhooks.shuffles = true
            settings.webhooks.duplicateShare = 0.1
            settings.listCursors = ListCursors.allCases[Int(seed % 3)]
        } _: { bench in
            let world = bench.simulator.world
            func sync(_ scope: SyncScope) async throws {
                let run = try await bench.runs.finished(bench.runs.start(scope).id)
                #expect(run?.state == .succeeded && run?.errorMessages == [], "SEED=\(seed)")
            }
            try await sync(.all())
            var random = SeededRandom(state: seed)
            for phase in 0..<4 {
                // Off in every second phase: what happens then is told to nobody.
                bench.simulator.webhooks.droppedShare = phase.isMultiple(of: 2) ? 0 : 1
                for _ in 0..<6 {
                    world.mutate(changes: 6, mix: Self.mix, seed: random.next())
                    try await bench.pace(2)
                }
                let type = RecordType.allCases[phase % 3]
                let name = "tea_\(phase)"
                #expect(world.defineProperty(type, name: name))
                if let id = world.ids(type, limit: 100).randomElement(using: &random) { _ = try world.update(type, id, [name: "Assam"]) }
                await bench.simulator.deliveriesSettled()
            }
            bench.simulator.webhooks.droppedShare = 0
            try await bench.settle()
            try await sync(.incremental)
            try await sync(.reconcile)
            let comparison = try await MirrorComparison(
                absentIsNull: true, simulatorURL: bench.simulator.baseURL, database: bench.database)
            #expect(comparison.isEqual, "SEED=\(seed): \(comparison.differences)")
            #expect(comparison.records > 60)
        }
    }

    @Test func aReconcileAsksForAssociationsByTheThousandAndForNoRecord() async throws {
        try await Workbench.use(account: { $0.archivedFromStart = 15 }) { bench in
            _ = try await bench.sync(.all())
            let world = bench.simulator.world
            let contact = world.ids(.contacts, limit: 1)[0]
            for id in world.associatedIds(.contacts, contact, to: .companies) { world.dissociate(.contacts, contact, .companies, id) }
            bench.simulator.resetCalls()
            let run = try await bench.sync(.reconcile)
            #expect(run.state == .succeeded && run.errorMessages == [], "\(run)")
            #expect(run.sum.processed == 305 && run.sum.total == 305)
            // One of the ends, or both: the first that is read takes the other along.
            #expect(1...2 ~= run.sum.updated - run.sum.unchanged)
            // A page of the recycle bin and three reads of associations of each type.
            #expect(bench.simulator.callCount == 3 * (1 + 3), "\(bench.simulator.calls)")
            let comparison = try await MirrorComparison(simulatorURL: bench.simulator.baseURL, database: ScratchDatabase.current)
            #expect(comparison.isEqual, "\(comparison.differences)")
        }
    }

    /// HubSpot erases contacts in the recycle bin too, and the event that tells of it can be lost like any other.
    @Test func aDeletedContactThatIsErasedLeavesTheMirrorWithoutItsEvent() async throws {
        try await Workbench.use { bench in
            _ = try await bench.sync(.all())
            let ids = bench.simulator.world.ids(.contacts, limit: 120)
            for id in ids { try bench.simulator.world.archive(.contacts, id) }
            #expect(try await bench.sync(.reconcile).state == .succeeded)
            #expect(try await bench.store.mirror.record(.contacts, "\(ids[0])")?["archived"] == true)

            try bench.simulator.world.gdprDelete(ids[0])
            let run = try await bench.sync(.reconcile)
            #expect(run.state == .succeeded && run.errorMessages == [], "\(run)")
            #expect(try await bench.store.mirror.record(.contacts, "\(ids[0])") == nil)
            #expect(try await bench.store.mirror.record(.contacts, "\(ids[1])")?["archived"] == true)
        }
    }
}
