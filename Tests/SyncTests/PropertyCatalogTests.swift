import HubSpot
import Model
import Rules
import Simulator
import Sync
import TestSupport
import Testing

@Suite(.scratchDatabase, .timeLimit(.minutes(1))) struct PropertyCatalogTests {
    @Test func namesAreKeptUntilAFreshAnswerIsAsked() async throws {
        try await Workbench.use { bench in
            let names = try await bench.catalog.names(of: .contacts, as: .live)
            #expect(names == bench.simulator.world.propertyNames(.contacts))
            #expect(bench.simulator.world.defineProperty(.contacts, name: "shoe_size"))
            #expect(try await bench.catalog.names(of: .contacts, as: .live) == names)
            let fresh = try await bench.catalog.names(of: .contacts, isFresh: true, as: .full)
            #expect(Set(fresh) == Set(names + ["shoe_size"]) && fresh.count == names.count + 1)
            #expect(try await bench.catalog.names(of: .contacts, as: .live) == fresh)
            #expect(bench.simulator.calls["GET properties/contacts"] == [200: 2])
        }
    }

    /// What the mirror's own fields are read from is asked for even where HubSpot's list lacks it.
    @Test func theMirrorsFieldsAreAskedForInAnyCase() async throws {
        let server = try RawServer { _ in .json(#"{"results":[{"name":"shoe_size"}]}"#) }
        defer { server.stop() }
        try await Workbench.use(address: server.url) { bench in
            let names = try await bench.catalog.names(of: .deals, as: .live)
            #expect(names.first == "shoe_size" && Set(names).isSuperset(of: ["dealname", "amount", "closedate", "hs_lastmodifieddate", "hs_merged_object_ids"]))
            #expect(Set(names).count == names.count)
        }
    }

    /// With no names HubSpot would show its few default properties, and each record would lose all others.
    @Test func anEmptyListIsAnErrorAndNoReasonToStripRecords() async throws {
        let server = try RawServer { _ in .json(#"{"results":[]}"#) }
        defer { server.stop() }
        try await Workbench.use(address: server.url) { bench in
            _ = await #expect(throws: HubSpotError.self) { try await bench.catalog.names(of: .deals, as: .live) }
        }
    }
}
