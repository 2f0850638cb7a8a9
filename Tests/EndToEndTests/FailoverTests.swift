import Foundation
import Simulator
import TestSupport
import Testing

extension EndToEnd {
    /// MongoDB's primary is lost again and again, in four ways by turns, while the account changes and HubSpot answers wrongly.
    struct FailoverTests {
        /// `FAILOVERS=n` for more.
        @Test func nothingAcceptedIsLostHoweverOftenMongoDBFailsOver() async throws {
            var soak = Soak()
            // One follows the other: the set is whole again in between.
            soak.duration = .seconds(1)
            soak.failovers = ProcessInfo.processInfo.environment["FAILOVERS"].flatMap { Int($0) } ?? (EndToEnd.isQuick ? 4 : 20)
            soak.kills = 2
            soak.faults = 0.02
            soak.changesPerSecond = 50
            soak.contacts = 1000
            let result = try await soak.run()
            EndToEnd.report("failovers under load\n\(result.table)")
            #expect(result.isClean, "\(result.differences.joined(separator: "\n"))")
            #expect(result.failovers.count == 4 && result.failovers.values.reduce(0, +) == soak.failovers)
            #expect(result.events > 0 && result.accepted >= result.events)
            #expect(result.memory.peak < (try ServiceProcess.isRelease ? 150 : 300))
        }

        /// Its connections stay open, so a call that is under way on it does not know that another has taken over.
        @Test func webhooksAreAcceptedWhileTheOldPrimaryStandsStill() async throws {
            let mongod = try await MongoServer.start(members: 3)
            try await withSimulator {
                $0.webhooks.retryTimeScale = 2e-4
                $0.webhooks.retriesMax = 20
            } _: { simulator in
                try await Service.run(Service.environment(mongodb: mongod.uri("frozen"), hubspot: simulator.baseURL)) { service in
                    #expect(try await service.sync("all").integer("errors") == 0)
                    simulator.setWebhookURL(service.url + "/api/webhooks/hubspot")
                    let load = Load(simulator)
                    load.begin(seed: 1)
                    while simulator.deliveries.accepted < 20 { try await Task.sleep(for: .milliseconds(10)) }
                    let start = ContinuousClock.now
                    async let failover: Void = mongod.failOver(.frozen, outage: .seconds(20))
                    // Longer than an election and the time-out of one write, shorter than that of other calls.
                    try await Task.sleep(until: start + .seconds(12))
                    let early = simulator.deliveries
                    try await Task.sleep(until: start + .seconds(17))
                    let late = simulator.deliveries
                    try await failover
                    await load.end()
                    #expect(late.accepted > early.accepted + 20, "\(early.accepted), \(late.accepted)")
                    await simulator.deliveriesSettled()
                    #expect(simulator.deliveries.dropped == 0)
                    EndToEnd.report(
                        "a frozen primary: requests not accepted at first \(late.failures); \(late.accepted - early.accepted) accepted between its 12th and 17th second")
                }
            }
            await mongod.kill()
        }
    }
}
