import Bytes
import HubSpot
import Model
import Simulator
import Store
import Sync
import TestSupport
import Testing

@Suite(.scratchDatabase, .timeLimit(.minutes(2))) struct LiveRecordsTests {
    /// As far as the order goes: records of one instant have no order of their own.
    @Test(arguments: RecordType.allCases, ["createdAt", "-createdAt", "updatedAt", "-updatedAt"])
    func theOrderIsTheMirrors(type: RecordType, sort: String) async throws {
        try await Workbench.use { bench in
            _ = try await bench.sync(.one(type))
            let query = MirrorQuery(type, limit: 37, sort: try #require(MirrorSort(sort, of: type)))
            let mirrored = try await bench.store.mirror.page(query)
            let live = try await bench.live.page(query)
            #expect(live.total == mirrored.total && live.documents.count == 37)
            let path = sort.hasSuffix("createdAt") ? "hubspotCreatedAt" : "hubspotUpdatedAt"
            #expect(live.documents.map { $0[path] } == mirrored.documents.map { $0[path] })
        }
    }

    @Test func aRecordHasTheSameContentFromBothSources() async throws {
        try await Workbench.use { bench in
            _ = try await bench.sync(.all())
            for type in RecordType.allCases {
                let id = "\(bench.simulator.world.seededId(type, 5))"
                let mirrored = try #require(try await bench.store.mirror.record(type, id))
                let live = try #require(try await bench.live.record(type, id))
                // Live reads have no associations.
                #expect(mirrored.elements.map(\.name).filter { $0 != "associatedAt" } == live.elements.map(\.name))
                for element in mirrored.elements where !["lastSyncedAt", "associations", "associatedAt"].contains(element.name) {
                    #expect(element.value == live[element.name], "\(type) \(element.name)")
                }
            }
        }
    }

    @Test func filtersAreHubSpots() async throws {
        try await Workbench.use { bench in
            let world = bench.simulator.world
            let id = "\(try world.create(.contacts, ["email": "zebra@example.org", "firstname": "Zebedee"]))"
            let other = "\(try world.create(.contacts, ["email": "a@example.org", "lastname": "Zebedeeson"]))"
            func ids(_ query: MirrorQuery) async throws -> [String] {
                try await bench.live.page(query).documents.compactMap { $0["hubspotId"]?.string }.sorted()
            }
            #expect(try await ids(MirrorQuery(.contacts, q: "zebedee")) == [id, other].sorted())
            #expect(try await ids(MirrorQuery(.contacts, q: "zebra@")) == [id])
            #expect(try await ids(MirrorQuery(.contacts, q: "nobody")) == [])
            let instant = Timestamp(milliseconds: try #require(world.records(.contacts).first { "\($0.id)" == id }).updatedAt - 1)
            #expect(try await ids(MirrorQuery(.contacts, updatedAfter: instant)) == [id, other].sorted())
            #expect(try await ids(MirrorQuery(.contacts, syncStatus: .pending)) == [])
            #expect(try await ids(MirrorQuery(.contacts, limit: 300, syncStatus: .synced)).count == 252)
        }
    }

    @Test(arguments: [1, 60, 200, 201, 450, 1000]) func pagingVisitsEachRecordOnce(limit: Int) async throws {
        try await Workbench.use(account: { $0.contacts = limit == 1 ? 12 : 470 }) { bench in
            var ids: [String] = []
            var query = MirrorQuery(.contacts, limit: limit)
            repeat {
                let page = try await bench.live.page(query)
                #expect(page.documents.count <= limit)
                #expect(page.after == nil || page.documents.count == limit)
                ids += page.documents.compactMap { $0["hubspotId"]?.string }
                query.after = page.after
            } while query.after != nil
            #expect(Set(ids) == Set(bench.simulator.world.ids(.contacts).map(String.init)) && ids.count == Set(ids).count)
        }
    }

    /// HubSpot refuses to page beyond 10,000 hits: the last page is shorter, and there is no next one.
    @Test func theLastPageEndsAtHubSpotsCap() async throws {
        try await Workbench.use(account: { $0.contacts = 10_050 }) { bench in
            let cursor = Base64.url.encode(Array("hubspot\n-updatedAt\nfalse\n9900".utf8))
            let page = try await bench.live.page(MirrorQuery(.contacts, limit: 150, after: cursor))
            #expect(page.documents.count == 100 && page.after == nil && page.total == 10_050)
        }
    }

    @Test func cursorsOfOthersAreRefused() async throws {
        try await Workbench.use { bench in
            _ = try await bench.sync(.one(.contacts))
            let foreign = try await bench.store.mirror.page(MirrorQuery(.contacts, limit: 2)).after
            let own = try #require(try await bench.live.page(MirrorQuery(.contacts, limit: 2)).after)
            let byName = try #require(MirrorSort("lastName", of: .contacts))
            let queries = [
                MirrorQuery(.contacts, after: foreign), MirrorQuery(.contacts, after: "###"), MirrorQuery(.contacts, after: own, sort: byName),
                MirrorQuery(.contacts, after: own, archived: true),
            ] + ["-1", "10000", "x", "1e3", ""].map { after in
                MirrorQuery(.contacts, after: Base64.url.encode(Array("hubspot\n-updatedAt\nfalse\n\(after)".utf8)))
            } + [MirrorQuery(.contacts, after: Base64.url.encode(Array("hubspot\n-updatedAt\ntrue\nnonsense".utf8)), archived: true)]
            for query in queries {
                await #expect(throws: LiveRecords.QueryError.self, "\(query)") { try await bench.live.page(query) }
            }
        }
    }

    @Test func archivedRecordsAreListedAndFound() async throws {
        try await Workbench.use(account: { $0.archivedFromStart = 5 }) { bench in
            let archived = Set(bench.simulator.world.records(.deals).filter(\.archived).map { "\($0.id)" })
            var ids: Set<String> = []
            var query = MirrorQuery(.deals, limit: 2, archived: true)
            repeat {
                let page = try await bench.live.page(query)
                #expect(page.total == nil && page.documents.allSatisfy { $0["archived"] == true })
                ids.formUnion(page.documents.compactMap { $0["hubspotId"]?.string })
                query.after = page.after
            } while query.after != nil
            #expect(ids == archived && ids.count == 5)
            // HubSpot cannot filter them.
            let world = bench.simulator.world
            try world.archive(.deals, world.create(.deals, ["dealname": "Zebra crossing"]))
            let found = try await bench.live.page(MirrorQuery(.deals, archived: true, q: "zEBra"))
            #expect(found.documents.map { $0["dealName"]?.string } == ["Zebra crossing"] && found.after == nil)
            #expect(try await bench.live.page(MirrorQuery(.deals, archived: true, updatedAfter: .now)).documents.isEmpty)
            let id = try #require(ids.first)
            #expect(try await bench.live.record(.deals, id)?["archived"] == true)
            #expect(try await bench.live.record(.deals, "999999999999") == nil)
            #expect(try await bench.live.record(.deals, "$ne") == nil)
        }
    }

    @Test func aMergedIdLeadsToItsSurvivor() async throws {
        try await Workbench.use { bench in
            let world = bench.simulator.world
            let (primary, other) = (world.seededId(.contacts, 1), world.seededId(.contacts, 2))
            let survivor = try world.merge(.contacts, primary: primary, other: other)
            #expect(try await bench.live.record(.contacts, "\(other)")?["hubspotId"] == .string("\(survivor)"))
        }
    }
}

extension Workbench {
    var live: LiveRecords { LiveRecords(hubspot: hubspot, catalog: catalog) }
}
