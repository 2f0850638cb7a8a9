import Bytes
import Foundation
import HubSpot
import Logging
import Model
import Mongo
import Rules
import Simulator
import Store
@testable import Sync
import TestSupport
import Testing

/// A list is cut into ranges that are walked side by side, from wherever each stands.
@Suite(.scratchDatabase, .timeLimit(.minutes(3))) struct BackfillTests {
    /// A thousand records are the least that a range has.
    private static func account(_ settings: inout SimulatorSettings) {
        settings.contacts = 5400
        settings.companies = 2300
        settings.deals = 0
        settings.propertiesPerRecord = 8
    }

    private static func expectEqual(_ bench: Workbench, _ types: [RecordType] = RecordType.allCases) async throws {
        let comparison = try await MirrorComparison(types, simulatorURL: bench.simulator.baseURL, database: ScratchDatabase.current)
        #expect(comparison.isEqual, "\(comparison.differences)")
    }

    /// From a HubSpot far away, where cuts are ahead of the walks, and from one next door, where walks overtake them.
    @Test(arguments: ListCursors.allCases, [0, 50])
    func theWholeListIsMirroredWhateverItsCursorsSay(cursors: ListCursors, latencyMs: Int) async throws {
        try await Workbench.use(account: {
            BackfillTests.account(&$0)
            $0.listCursors = cursors
            $0.latency = .milliseconds(latencyMs)
        }) { bench in
            let run = try await bench.sync(.all())
            #expect(run.state == .succeeded && run.errorMessages == [])
            // None is missed at a seam, none is counted on both sides of it.
            #expect(run.sum.synced == 7700 && run.sum.updated == 0 && run.sum.total == 7700)
            try await BackfillTests.expectEqual(bench)
            // One search counts; the others cut.
            let searches = bench.simulator.calls["POST objects/contacts/search"]?[200] ?? 0
            if cursors == .opaque { #expect(searches == 1) } else if latencyMs > 0 { #expect(searches >= 6) }
            #expect(bench.simulator.calls["GET objects/contacts"]?[200] ?? 0 <= 54 + 12)
            // They came with the records.
            #expect(bench.simulator.calls.keys.filter { $0.contains("associations") } == [])
        }
    }

    /// A server whose cursors count records, and so look like ids as long as none is missing. From the hole on they lead elsewhere, which
    /// must not cost a record.
    @Test func cursorsThatOnlyLookLikeIdsAreFoundOut() async throws {
        let ids = (1...5_000).filter { $0 != 2_500 }
        @Sendable func record(_ id: Int) -> String {
            #"{"id":"\#(id)","properties":{"email":"\#(id)@example.org"},"createdAt":"2026-01-01T00:00:00Z","updatedAt":"2026-01-01T00:00:00Z","archived":false}"#
        }
        @Sendable func results(_ ids: [Int]) -> String { "[" + ids.map(record).joined(separator: ",") + "]" }
        let server = try RawServer { request in
            let body = (try? JSONSerialization.jsonObject(with: Data(request.body))) as? [String: Any] ?? [:]
            let after = (request.query("after") ?? body["after"] as? String).flatMap { Int($0) } ?? 0
            if request.path.contains("/properties/") { return .json(#"{"results":[{"name":"email"}]}"#) }
            if request.path.hasSuffix("/batch/read") {
                let asked = (body["inputs"] as? [[String: String]] ?? []).compactMap { $0["id"].flatMap { Int($0) } }
                return .json(#"{"status":"COMPLETE","results":\#(results(asked.filter(ids.contains)))}"#)
            }
            if request.path.hasSuffix("/search") {
                let filters = (body["filterGroups"] as? [[String: Any]])?.first?["filters"] as? [[String: String]]
                let above = filters?.first?["value"].flatMap { Int($0) } ?? 0
                let found = ids.filter { $0 > above }
                return .json(#"{"total":\#(found.count),"results":\#(results(Array(found.dropFirst(after).prefix(body["limit"] as? Int ?? 10))))}"#)
            }
            let page = Array(ids.dropFirst(after).prefix(100))
            let paging = after + 100 < ids.count ? #","paging":{"next":{"after":"\#(after + 100)"}}"# : ""
            return .json(#"{"results":\#(results(page))\#(paging)}"#)
        }
        defer { server.stop() }
        try await Workbench.use(address: server.url) { bench in
            let run = try await bench.sync(.one(.contacts))
            #expect(run.state == .succeeded && run.errorMessages == [])
            #expect(try await bench.store.mirror.counts()[.contacts]?.total == ids.count)
            #expect(run.sum.synced == ids.count)
        }
    }

    /// The walk needs search for its speed only.
    @Test func aListWhoseSearchFailsIsWalkedAllTheSame() async throws {
        try await Workbench.use(account: {
            BackfillTests.account(&$0)
            $0.searchRateLimit = .init(1, per: .seconds(3600))
        }) { bench in
            let run = try await bench.sync(.one(.companies))
            #expect(run.state == .succeeded && run.sum.synced == 2300)
        }
    }

    /// Nor does it wait for a slow one: it walks what is still to be cut, and at its end there is nothing left to cut.
    @Test func aSlowSearchHoldsNoWalk() async throws {
        try await Workbench.use(account: {
            BackfillTests.account(&$0)
            $0.searchRateLimit = .init(1, per: .seconds(4))
        }) { bench in
            let run = try await bench.sync(.one(.contacts))
            #expect(run.state == .succeeded && run.sum.synced == 5400)
            #expect(bench.simulator.calls["POST objects/contacts/search"]?[200] ?? 0 <= 3)  // six when every cut is waited for
            try await BackfillTests.expectEqual(bench, [.contacts])
        }
    }

    @Test func changesDuringTheWalkAreFoundByTheNextIncrementalSync() async throws {
        try await Workbench.use(account: {
            BackfillTests.account(&$0)
            $0.latency = .milliseconds(15)
        }) { bench in
            let world = bench.simulator.world
            let id = try await bench.runs.start(.all()).id
            var round: UInt64 = 0
            for await run in try #require(try await bench.runs.updates(of: id)) where !run.isFinished {
                round += 1
                world.mutate(changes: 5, seed: round)
            }
            #expect(try await bench.runs.finished(id)?.state == .succeeded)
            #expect(round > 5)
            #expect(try await bench.sync(.incremental).state == .succeeded)
            #expect(try await bench.sync(.all()).state == .succeeded)
            try await BackfillTests.expectEqual(bench)
        }
    }

    /// Cut anywhere, a run goes on where MongoDB says that it stands.
    @Test(arguments: ListCursors.allCases, [1, 9, 30]) func anInterruptedWalkGoesOn(cursors: ListCursors, pages: Int) async throws {
        func account(_ settings: inout SimulatorSettings) {
            BackfillTests.account(&settings)
            settings.listCursors = cursors
            settings.latency = .milliseconds(10)
        }
        var id = ""
        try await Workbench.use(account: account) { bench in
            id = try await bench.runs.start(.one(.contacts)).id
            for await run in try #require(try await bench.runs.updates(of: id)) where run.sum.processed >= pages * 100 { break }
        }
        let store = Store(database: ScratchDatabase.current, logger: .init(label: "test"))
        let left = try #require(try await store.runs.load(id))
        #expect(left.state == .running && left.sum.processed >= pages * 100 && left.sum.processed < 5400)
        try await Workbench.use(account: account) { [id] bench in
            let run = try #require(try await bench.runs.finished(id))
            #expect(run.state == .succeeded && run.resumptions == 1)
            #expect(run.sum.total == 5400)
            // Pages whose records were written and not yet counted are written once more.
            #expect(run.sum.processed == 5400, "\(run.sum)")
            let calls = bench.simulator.calls["GET objects/contacts"]?[200] ?? 0
            #expect(calls <= (5400 - left.sum.processed) / 100 + 20, "it began anew")
            try await BackfillTests.expectEqual(bench, [.contacts])
        }
    }

    // MARK: Ranges

    /// A run of contacts that another process left where `walk` says.
    private static func resume(_ walk: Walk, _ bench: Workbench) async throws -> Run {
        var run = Run(id: "left", scope: .one(.contacts), startedAt: .now - .seconds(60))
        run.byType[.contacts]?.walk = walk
        #expect(try await bench.store.runs.begin(run, owner: "dead") == nil)
        return try #require(try await bench.runs.finished(run.id))
    }

    /// The range that is half walked ends, and its last page does not say how the other one can be begun.
    @Test(arguments: ListCursors.allCases) func aRangeThatNobodyBeganIsWalkedWhenTheOthersHaveEnded(cursors: ListCursors) async throws {
        try await Workbench.use(account: { $0.listCursors = cursors }) { bench in
            let ids = bench.simulator.world.ids(.contacts)
            var after: String?
            for _ in 0..<2 {
                after = try await bench.hubspot.page(
                    of: .contacts, after: after, limit: 100, properties: [], archived: false, as: CallClass.full
                ).after
            }
            let walk = Walk(
                open: [
                    Walk.Range(above: ids[99], first: ids[100], through: ids[199]),
                    Walk.Range(above: ids[199], first: ids[200], after: after),
                ], isCut: true)
            let run = try await BackfillTests.resume(walk, bench)
            #expect(run.state == .succeeded && run.errorMessages == [])
            // Without ids for cursors the whole list is walked.
            #expect(run.sum.synced == (cursors == .opaque ? 250 : 150), "\(run.sum)")
        }
    }

    /// A batch read answers the id of a record that was merged away with its survivor.
    @Test func aRangeWhoseFirstRecordWasMergedAwayIsWalkedAlone() async throws {
        try await Workbench.use(account: { $0.mergeKeepsPrimary = true }) { bench in
            let ids = bench.simulator.world.ids(.contacts)
            try bench.simulator.world.merge(.contacts, primary: ids[0], other: ids[100])
            let run = try await BackfillTests.resume(Walk(open: [Walk.Range(above: ids[99], first: ids[100])], isCut: true), bench)
            #expect(run.state == .succeeded && run.errorMessages == [])
            #expect(run.sum.synced == 149, "\(run.sum)")
        }
    }

    /// Whoever walks its last page cannot know yet.
    @Test func aRangeThatIsJoinedDuringItsLastPageGoesOn() async throws {
        let walks = Walks(Walk(open: [Walk.Range(through: 20, after: "11"), Walk.Range(above: 20, first: 21)], isCut: true), isLimited: false)
        let begun = try #require(await walks.next(isBudgetFree: true))
        let records = (11...30).map { Record.sample(id: String($0)) }
        let page = Page(RecordPage(records: records, after: "31"), readAt: .now, took: .zero)
        let claimed = try #require(await walks.claim(page, of: begun))
        let own = page.records(through: claimed.through)
        #expect(own.isLast && own.records.count == 10)
        await walks.take(.join)
        await walks.take(.page(above: claimed.above, through: claimed.through, after: nil))
        #expect(await walks.isFinished == false)
        #expect(await walks.next(isBudgetFree: true) == Walk.Range(after: "11"))
    }

    /// What ends without a next page teaches no cursors.
    @Test func cursorsAreLookedForOnceNothingElseCanBeWalked() async throws {
        let walks = Walks(
            Walk(open: [Walk.Range(above: 10, first: 11, through: 20), Walk.Range(above: 20, first: 21, after: "21")], isCut: true), isLimited: false)
        #expect(await walks.needsCursors == false)
        let begun = try #require(await walks.next(isBudgetFree: true))
        #expect(begun.above == 20)
        #expect(await walks.needsCursors == false)
        await walks.take(.page(above: 20, through: nil, after: nil))
        #expect(await walks.next(isBudgetFree: true) == nil)
        #expect(await walks.needsCursors)
    }

    @Test func aLimitedRunGoesOnToItsLimit() async throws {
        func account(_ settings: inout SimulatorSettings) {
            BackfillTests.account(&settings)
            settings.latency = .milliseconds(20)
        }
        var id = ""
        try await Workbench.use(account: account) { bench in
            id = try await bench.runs.start(.one(.contacts, limit: 1550)).id
            for await run in try #require(try await bench.runs.updates(of: id)) where run.sum.processed >= 300 { break }
        }
        try await Workbench.use(account: account) { [id] bench in
            let run = try #require(try await bench.runs.finished(id))
            #expect(run.state == .succeeded && run.resumptions == 1 && run.sum.processed == 1550)
            #expect(try await bench.store.mirror.counts()[.contacts]?.synced == 1550)
        }
    }

    /// More associations than come with a record, and a removal that only their absence shows.
    @Test func associationsComeWithTheirRecords() async throws {
        try await Workbench.use { bench in
            let world = bench.simulator.world
            let company = world.seededId(.companies, 0)
            let contacts = world.ids(.contacts, limit: 230)
            for contact in contacts { try world.associate(.contacts, contact, .companies, company) }
            #expect(try await bench.sync(.all()).errorMessages == [])
            try await BackfillTests.expectEqual(bench)
            let stored = try await bench.store.mirror.record(.companies, "\(company)")?["associations"]?.document?["contacts"]?.array
            #expect(stored?.count ?? 0 >= 230)
            let lonely = contacts[17]
            for other in RecordType.allCases {
                for id in world.associatedIds(.contacts, lonely, to: other) { world.dissociate(.contacts, lonely, other, id) }
            }
            let run = try await bench.sync(.all())
            #expect(run.sum.updated - run.sum.unchanged >= 2)
            try await BackfillTests.expectEqual(bench)
        }
    }

    /// The records are right without them, and the user is told.
    @Test func aTokenThatMayNotReadTheOtherSideMirrorsTheRecords() async throws {
        try await Workbench.use(account: { $0.missingScopes = ["crm.objects.deals.read"] }) { bench in
            let run = try await bench.sync(.one(.contacts))
            #expect(run.state == .succeeded && run.sum.synced == 250)
            #expect(run.errorMessages.count == 1 && run.errorMessages[0].contains("crm.objects.deals.read"))
        }
    }
}
