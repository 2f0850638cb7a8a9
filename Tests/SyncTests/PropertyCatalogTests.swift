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
}
