import Bytes
import HubSpot
import Model
import Mongo
import Rules
import ServiceLifecycle
import Simulator
import Store
import Sync
import TestSupport
import Testing

/// Stale and failed records come back to `synced` without anybody's doing.
@Suite(.scratchDatabase, .timeLimit(.minutes(1))) struct HealingTests {
    private static func healing(_ bench: Workbench, backoff: Backoff = Backoff(base: .milliseconds(20), cap: .milliseconds(50))) -> Healing {
        Healing(
            store: bench.store, hubspot: bench.hubspot, catalog: bench.catalog, pause: .milliseconds(1), lookEvery: .milliseconds(10),
            backoff: backoff, logger: bench.logger)
    }

    /// Runs as many instances as asked until the condition holds.
    private func heal(_ bench: Workbench, instances: Int = 1, until condition: () async throws -> Bool) async throws {
        let running = (0..<instances).map { _ in Self.healing(bench) }.map { healing in Task { try await healing.run() } }
        defer { for task in running { task.cancel() } }
        try await eventually(condition)
        for task in running { task.cancel() }
        for task in running { _ = await task.result }
    }

    private func allAreSynced(_ bench: Workbench) async throws -> Bool {
        try await bench.store.mirror.counts().values.allSatisfy { $0.pending == 0 && $0.error == 0 }
    }

    @Test(arguments: [1, 3]) func staleRecordsTurnSyncedByBatchesHoweverManyInstancesThereAre(instances: Int) async throws {
        try await Workbench.use { bench in
            _ = try await bench.sync(.all())
            let before = Timestamp.now
            #expect(try await bench.store.writer.markStale(olderThan: .now + .seconds(1)) == 350)
            bench.simulator.resetCalls()
            try await heal(bench, instances: instances) { try await allAreSynced(bench) }
            // 250, 40 and 60 records by 100, none of them twice.
            #expect(bench.simulator.calls["POST objects/contacts/batch/read"] == [200: 3])
            #expect(bench.simulator.calls["POST objects/companies/batch/read"] == [200: 1])
            #expect(bench.simulator.calls["POST objects/deals/batch/read"] == [200: 1])
            #expect(try await bench.store.mirror.counts().values.allSatisfy { $0.lastSyncedAt ?? before > before })
            try await bench.expectMirrorEqualsAccount()
        }
    }

    @Test func whatBecameOfRecordsThatAreGoneIsFound() async throws {
        try await Workbench.use { bench in
            _ = try await bench.sync(.all())
            let world = bench.simulator.world
            func id(_ index: Int) -> Int64 { world.seededId(.contacts, index) }
            try world.archive(.contacts, id(1))
            try world.gdprDelete(id(2))
            let survivor = try world.merge(.contacts, primary: id(3), other: id(4))
            try world.update(.contacts, id(5), ["firstname": "Healed"])
            try await bench.store.writer.markStale(olderThan: .now + .seconds(1))
            try await heal(bench) { try await allAreSynced(bench) }
            func document(_ id: Int64) async throws -> BSONDocument? { try await bench.store.mirror.record(.contacts, "\(id)") }
            #expect(try await document(id(1))?["archived"] == true)
            #expect(try await document(id(2)) == nil)
            if survivor != id(3) { #expect(try await document(id(3)) == nil) }
            #expect(try await document(id(4)) == nil)
            #expect(try await document(id(5))?["firstName"] == "Healed")
            _ = try await bench.sync(.incremental)
            let comparison = try await MirrorComparison(
                [.contacts], withAssociations: false, simulatorURL: bench.simulator.baseURL, database: ScratchDatabase.current)
            #expect(comparison.isEqual, "\(comparison.differences)")
        }
    }

    @Test func aFailedRecordIsTriedAgainLaterAndHeals() async throws {
        try await Workbench.use { bench in
            _ = try await bench.sync(.one(.deals))
            let id = "\(bench.simulator.world.seededId(.deals, 7))"
            try await bench.store.writer.recordFailure(.deals, id, message: "no")
            bench.simulator.resetCalls()
            try await heal(bench) { try await allAreSynced(bench) }
            #expect(try await bench.store.mirror.record(.deals, id)?["syncError"] == .null)
            #expect(bench.simulator.calls["POST objects/deals/batch/read"] == [200: 1])
        }
    }

    /// A document that looks newer than HubSpot is not overwritten, so it stays pending; it must not keep others from healing, nor be
    /// read without end.
    @Test func aRecordThatCannotBeHealedHoldsNobodyUp() async throws {
        try await Workbench.use { bench in
            _ = try await bench.sync(.one(.contacts))
            _ = try await bench.sync(.one(.companies))
            let stuck = "\(bench.simulator.world.seededId(.contacts, 0))"
            try await bench.store.writer.markStale(olderThan: .now + .seconds(1))
            _ = try await ScratchDatabase.current.run { client in
                try client.updateOne(
                    ["_id": .string(stuck)], update: ["$set": ["hubspotUpdatedAt": .date(Timestamp.now.milliseconds + 1_000_000)]],
                    in: "contacts")
            }
            bench.simulator.resetCalls()
            let healing = Self.healing(bench, backoff: Backoff(base: .seconds(30), cap: .seconds(30)))
            let running = Task { try await healing.run() }
            try await eventually { try await bench.store.mirror.counts()[.contacts]?.pending == 1 }
            // Each of these takes another turn through all types, which passes the stuck one by.
            for index in 0..<5 {
                let id = "\(bench.simulator.world.seededId(.companies, index))"
                _ = try await ScratchDatabase.current.run { client in
                    try client.updateOne(["_id": .string(id)], update: ["$set": ["syncStatus": "pending"]], in: "companies")
                }
                try await eventually { try await bench.store.mirror.record(.companies, id)?["syncStatus"] == "synced" }
            }
            running.cancel()
            _ = await running.result
            #expect(try await bench.store.mirror.record(.contacts, stuck)?["syncStatus"] == "pending")
            #expect(bench.simulator.calls["POST objects/contacts/batch/read"] == [200: 3])
        }
    }

    @Test func anOutageIsWaitedOut() async throws {
        try await Workbench.use { bench in
            _ = try await bench.sync(.one(.companies))
            try await bench.store.writer.markStale(olderThan: .now + .seconds(1))
            bench.simulator.resetCalls()
            bench.simulator.faults.down = true
            let running = Task { try await Self.healing(bench).run() }
            try await eventually { bench.simulator.callCount > 100 }
            #expect(try await bench.store.mirror.counts()[.companies]?.pending == 40)
            bench.simulator.faults.down = false
            try await eventually { try await allAreSynced(bench) }
            running.cancel()
            _ = await running.result
        }
    }
}
