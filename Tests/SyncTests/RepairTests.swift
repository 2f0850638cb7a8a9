import Bytes
import Foundation
import Model
import Simulator
import Store
import Sync
import TestSupport
import Testing

/// What no webhook said is found by syncs: an incremental one for what changed, a full one for what is gone.
@Suite(.scratchDatabase, .timeLimit(.minutes(5))) struct RepairTests {
    /// `SEED=n` replays one history; otherwise the same ones every time.
    static let seeds: [UInt64] = ProcessInfo.processInfo.environment["SEED"].flatMap(UInt64.init).map { [$0] } ?? Array(1...12)

    @Test(arguments: seeds) func aHistoryWithoutWebhooksIsFoundByIncrementalAndFullSync(seed: UInt64) async throws {
        try await Workbench.use { settings in
            settings.seed = seed
            settings.contacts = 120
            settings.companies = 30
            settings.deals = 40
            settings.mergeKeepsPrimary = seed.isMultiple(of: 2)
        } _: { bench in
            #expect(try await bench.sync(.all()).state == .succeeded)
            for round in 0..<3 {
                bench.simulator.world.mutate(changes: 60, seed: seed &* 100 &+ UInt64(round))
                #expect(try await bench.sync(.incremental).state == .succeeded)
            }
            #expect(try await bench.sync(.all()).state == .succeeded)
            let comparison = try await MirrorComparison(simulatorURL: bench.simulator.baseURL, database: ScratchDatabase.current)
            #expect(comparison.isEqual, "seed \(seed): \(comparison.differences)")
            #expect(comparison.records > 150)
        }
    }

    @Test func anIncrementalSyncReadsOnlyWhatChanged() async throws {
        try await Workbench.use { bench in
            _ = try await bench.sync(.all())
            let ids = try bench.simulator.world.bulkEdit(.contacts, count: 7, ["firstname": "Changed"])
            bench.simulator.resetCalls()
            let run = try await bench.sync(.incremental)
            #expect(run.byType[.contacts]?.updated == 7)
            #expect(run.byType[.deals]?.processed == 0)
            #expect(bench.simulator.calls["POST objects/contacts/batch/read"]?[200] == 1)
            #expect(bench.simulator.calls["POST objects/deals/batch/read"] == nil)
            #expect(try await bench.store.mirror.record(.contacts, String(ids[0]))?["firstName"] == "Changed")
        }
    }

    /// A record of whose creation no webhook told comes with its associations; those of records that are there are left to reconciliation.
    @Test func whatIsNewToTheMirrorComesWithItsAssociations() async throws {
        try await Workbench.use { bench in
            _ = try await bench.sync(.all())
            let world = bench.simulator.world
            let company = world.seededId(.companies, 0)
            let made = try world.create(.contacts, ["email": "new@example.org"])
            try world.associate(.contacts, made, .companies, company)
            bench.simulator.resetCalls()
            #expect(try await bench.sync(.incremental).errorMessages == [])
            let associations = try await bench.store.mirror.record(.contacts, "\(made)")?["associations"]?.document
            #expect(associations?["companies"]?.array == [.string("\(company)")] && associations?["deals"]?.array == [])
            func readings() -> Int { bench.simulator.calls.filter { $0.key.contains("associations") }.values.reduce(0) { $0 + $1.values.reduce(0, +) } }
            #expect(readings() == 3)
            _ = try world.bulkEdit(.contacts, count: 7, ["firstname": "Changed"])
            #expect(try await bench.sync(.incremental).sum.updated >= 7)
            #expect(readings() == 3)
        }
    }

    @Test func beforeTheFirstFullSyncThereIsNothingToCompareWith() async throws {
        try await Workbench.use { bench in
            let run = try await bench.sync(.incremental)
            #expect(run.state == .succeeded)
            #expect(run.sum.processed == 0)
        }
    }

    /// More than search can page through, all with one modified date: a bulk edit in HubSpot.
    @Test func aBulkEditOfMoreThanTenThousandRecordsInOneInstantIsFound() async throws {
        let count = ProcessInfo.processInfo.environment["QUICK"] == nil ? 25_000 : 10_500
        try await Workbench.use { settings in
            settings.contacts = count + 500
            settings.companies = 0
            settings.deals = 0
            settings.propertiesPerRecord = 10
        } _: { bench in
            _ = try await bench.sync(.one(.contacts))
            let ids = try bench.simulator.world.bulkEdit(.contacts, count: count, ["lastname": "Bulk"])
            #expect(ids.count == count)
            let run = try await bench.sync(.incremental)
            #expect(run.state == .succeeded)
            #expect(run.byType[.contacts]?.updated == count)
            let comparison = try await MirrorComparison([.contacts], simulatorURL: bench.simulator.baseURL, database: ScratchDatabase.current)
            #expect(comparison.isEqual, "\(comparison.differences)")
        }
    }

    @Test func aLimitedSyncRemovesNothingAndLeavesTheWatermark() async throws {
        try await Workbench.use { bench in
            _ = try await bench.sync(.all())
            let watermark = try await bench.store.watermarks.load(.contacts)
            for id in bench.simulator.world.ids(.contacts, limit: 5) { try bench.simulator.world.archive(.contacts, id) }
            let limited = try await bench.sync(.one(.contacts, limit: 10))
            #expect(limited.sum.archived == 0)
            #expect(try await bench.store.watermarks.load(.contacts) == watermark)
            #expect(try await bench.store.mirror.counts()[.contacts]?.archived == 0)
            let whole = try await bench.sync(.one(.contacts))
            #expect(whole.sum.archived == 5)
            #expect(try await bench.store.mirror.counts()[.contacts]?.archived == 5)
        }
    }

    @Test func associationsComeWithAFullSync() async throws {
        try await Workbench.use { bench in
            let world = bench.simulator.world
            let contact = try #require(world.ids(.contacts, limit: 1).first)
            let deal = try #require(world.ids(.deals, limit: 1).first)
            try world.associate(.contacts, contact, .deals, deal)
            let run = try await bench.sync(.all())
            #expect(run.errorMessages == [])
            let document = try #require(try await bench.store.mirror.record(.contacts, String(contact)))
            let expected = Set(world.associatedIds(.contacts, contact, to: .deals).map(String.init))
            #expect(expected.contains(String(deal)))
            #expect(Set(document["associations"]?.document?["deals"]?.array?.compactMap(\.string) ?? []) == expected)
        }
    }

    /// A HubSpot whose list is empty and that does not answer for one record, or for any.
    private static func silentHubSpot(for isSilent: @escaping @Sendable (String) -> Bool) throws -> RawServer {
        try RawServer { request in
            if request.path.contains("/properties/") { return .json(#"{"results":[{"name":"email"}]}"#) }
            if request.path.hasSuffix("/search") { return .json(#"{"total":0,"results":[]}"#) }
            guard request.path.hasSuffix("/batch/read") else { return .json(#"{"results":[]}"#) }
            let body = (try? JSONSerialization.jsonObject(with: Data(request.body))) as? [String: Any] ?? [:]
            let asked = (body["inputs"] as? [[String: String]] ?? []).compactMap { $0["id"] }
            return asked.contains(where: isSilent) ? .json("{}", status: 503) : .json(#"{"status":"COMPLETE","results":[]}"#)
        }
    }

    /// The list is walked; then HubSpot goes away.
    @Test func aFullSyncThatCannotAskWhatBecameOfRecordsFails() async throws {
        let server = try RepairTests.silentHubSpot { _ in true }
        defer { server.stop() }
        try await Workbench.use(address: server.url) { bench in
            let records = (1...150).map { Record.sample(.contacts, id: String($0)) }
            try await bench.store.writer.write(records, of: .contacts, at: .now - .seconds(60))
            let run = try await bench.sync(.one(.contacts))
            #expect(run.state == .failed && run.failureCode == .hubspotUnreachable)
            #expect(run.sum.errors == 150 && run.sum.archived == 0)
            #expect(try await bench.store.watermarks.load(.contacts) == nil)
            #expect(try await bench.store.mirror.counts()[.contacts]?.synced == 150)
        }
    }

    @Test func recordsOfWhichNothingCouldBeFoundOutAreErrors() async throws {
        let server = try RepairTests.silentHubSpot { $0 == "1" }
        defer { server.stop() }
        try await Workbench.use(address: server.url) { bench in
            let records = (1...150).map { Record.sample(.contacts, id: String($0)) }
            try await bench.store.writer.write(records, of: .contacts, at: .now - .seconds(60))
            let run = try await bench.sync(.one(.contacts))
            #expect(run.state == .succeeded)
            // Those that were asked for with it.
            #expect([50, 100].contains(run.sum.errors) && run.sum.errors + run.sum.archived == 150, "\(run.sum)")
        }
    }

    /// Two instances share the schedule: each due turn is taken once.
    @Test func aTurnIsTakenOnceHoweverManyAsk() async throws {
        try await Workbench.use { bench in
            let schedule = bench.store.schedule
            let start = Timestamp(milliseconds: 4_000_000_000_000)
            #expect(try await schedule.takeTurn("all", at: start, nextAt: start + .seconds(60), latest: start + .seconds(70)) == false)
            #expect(try await schedule.takeTurn("all", at: start + .seconds(59), nextAt: start, latest: start + .seconds(129)) == false)
            let due = start + .seconds(61)
            let taken = try await withThrowingTaskGroup(of: Bool.self) { group in
                for _ in 0..<8 {
                    group.addTask { try await schedule.takeTurn("all", at: due, nextAt: due + .seconds(60), latest: due + .seconds(70)) }
                }
                return try await group.reduce(into: 0) { $0 += $1 ? 1 : 0 }
            }
            #expect(taken == 1)
            // A shorter interval than before counts from now on.
            #expect(try await schedule.takeTurn("all", at: due, nextAt: due + .seconds(5), latest: due + .seconds(6)) == false)
            #expect(try await schedule.takeTurn("all", at: due + .seconds(7), nextAt: due + .seconds(12), latest: due + .seconds(13)))
        }
    }

    /// A service that is only started fills its mirror, unless full syncs are off.
    @Test(arguments: [true, false]) func whatWasNeverSyncedIsSyncedWholeAtTheFirstIncrementalTurn(hasFullSyncs: Bool) async throws {
        try await Workbench.use { bench in
            let full: [(scope: SyncScope, every: Duration)] = hasFullSyncs ? [(.all(), .seconds(86_400))] : []
            let scheduler = Scheduler(
                store: bench.store, runs: bench.runs, every: [(.incremental, .milliseconds(50))] + full, logger: bench.logger)
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await scheduler.run() }
                try await eventually {
                    let succeeded = try await bench.store.runs.current().ended.filter { $0.state == .succeeded }.map(\.scope)
                    return succeeded.contains(.incremental) && (!hasFullSyncs || succeeded.contains(.all()))
                }
                group.cancelAll()
            }
            #expect(try await bench.store.runs.current().ended.contains { $0.scope == .all() } == hasFullSyncs)
            let id = bench.simulator.world.seededId(.contacts, 0)
            #expect(try await (bench.store.mirror.record(.contacts, "\(id)") != nil) == hasFullSyncs)
        }
    }
}
