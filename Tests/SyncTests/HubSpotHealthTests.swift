import Simulator
import Sync
import TestSupport
import Testing

@Suite(.scratchDatabase, .timeLimit(.minutes(1))) struct HubSpotHealthTests {
    @Test func manyWhoAskMakeOneCall() async throws {
        try await Workbench.use { bench in
            let health = HubSpotHealth(hubspot: bench.hubspot)
            await withTaskGroup(of: Bool.self) { group in
                for _ in 0..<20 { group.addTask { await health.isReachable() } }
                for await isReachable in group { #expect(isReachable) }
            }
            #expect(await health.isReachable())
            #expect(bench.simulator.calls["GET account-info/details"] == [200: 1])
        }
    }

    @Test func aRefusedTokenIsNotReachableAndAMissingScopeIs() async throws {
        try await Workbench.use { bench in
            bench.simulator.missingScopes = ["oauth"]
            #expect(await HubSpotHealth(hubspot: bench.hubspot).isReachable())
            bench.simulator.token = "another"
            #expect(await !HubSpotHealth(hubspot: bench.hubspot).isReachable())
            bench.simulator.faults.down = true
            #expect(await !HubSpotHealth(hubspot: bench.hubspot).isReachable())
        }
    }
}
