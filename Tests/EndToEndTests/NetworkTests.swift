import Foundation
import Model
import Mongo
import Simulator
import TestSupport
import Testing

extension EndToEnd {
    /// A network between the service and its neighbours that is slow, trickles, cuts connections and loses peers without a word.
    struct NetworkTests {
        private static let faults: [FaultyProxy.Fault] = [
            .slow(.milliseconds(50)), .drip(32), .resetAfter(20_000), .resetAfter(700), .resetAfter(0), .silence,
        ]

        private func expectEqual(_ simulator: Simulator, _ database: MongoDatabase, after fault: String) async throws {
            let comparison = try await MirrorComparison(withAssociations: false, simulatorURL: simulator.baseURL, database: database)
            #expect(comparison.isEqual, "after \(fault):\n\(comparison.differences.joined(separator: "\n"))")
        }

        @Test(.scratchDatabase) func aBadNetworkToHubSpotOnlyDelays() async throws {
            let database = ScratchDatabase.current
            try await withSimulator { simulator in
                let network = try FaultyProxy(to: UInt16(simulator.port))
                defer { network.stop() }
                let environment = Service.environment(mongodb: try await MongoServer.shared.uri(database.name), hubspot: network.url)
                try await Service.run(environment) { service in
                    #expect(try await service.sync("all").integer("errors") == 0)
                    simulator.setWebhookURL(service.url + "/api/webhooks/hubspot")
                    let load = Load(simulator)
                    var took: [String] = []
                    for (place, fault) in NetworkTests.faults.enumerated() {
                        let before = network.connectionCount
                        network.fault = fault
                        load.begin(seed: UInt64(place))
                        try await Task.sleep(for: .seconds(2))
                        await load.end()
                        let settled = try await settle(network, simulator, service, database)
                        // A call to a peer that has vanished ends by its time-out, 45 s without a byte, and is tried again.
                        #expect(settled < (fault == .silence ? .seconds(75) : .seconds(30)), "\(fault)")
                        took.append("\(fault) \(settled.shown), \(network.connectionCount - before) connections")
                        try await expectEqual(simulator, database, after: "\(fault)")
                    }
                    #expect(simulator.deliveries.dropped == 0 && simulator.deliveries.failed == 0)
                    EndToEnd.report("a bad network to HubSpot, until everything had arrived: \(took.joined(separator: "; "))")
                }
            }
        }

        /// Mends the network and waits until everything has arrived: for how long.
        private func settle(
            _ network: FaultyProxy, _ simulator: Simulator, _ service: Service, _ database: MongoDatabase
        ) async throws -> Duration {
            network.fault = .none
            let start = ContinuousClock.now
            await simulator.deliveriesSettled()
            try await service.settle(database)
            return ContinuousClock.now - start
        }

        @Test func aBadNetworkToMongoDBOnlyDelays() async throws {
            let mongod = try await MongoServer.start()
            let database = try MongoDatabase(MongoSettings(uri: mongod.uri("network"), threads: 2))
            let network = try FaultyProxy(to: mongod.port)
            defer { network.stop() }
            try await withSimulator {
                $0.webhooks.retryTimeScale = 2e-4
                $0.webhooks.retriesMax = 20
            } _: { simulator in
                let uri = "mongodb://127.0.0.1:\(network.port)/network?directConnection=true"
                try await Service.run(Service.environment(mongodb: uri, hubspot: simulator.baseURL)) { service in
                    #expect(try await service.sync("all").integer("errors") == 0)
                    simulator.setWebhookURL(service.url + "/api/webhooks/hubspot")
                    let load = Load(simulator)
                    var took: [String] = []
                    for (place, fault) in NetworkTests.faults.enumerated() {
                        // After an outage reads go to HubSpot until a look finds MongoDB again.
                        _ = try await service.poll("/api/admin/hubspot/contacts?limit=1") { $0.json["source"] as? String == "mongodb" }
                        network.fault = fault
                        load.begin(seed: UInt64(place))
                        let asked = ContinuousClock.now
                        let list = try await service.admin("contacts?limit=1")
                        let answered = ContinuousClock.now - asked
                        // MongoDB's own answer, or HubSpot's when MongoDB's did not come in time: that is 20 s.
                        #expect(list.status == 200 && answered < .seconds(40), "\(fault): \(answered), \(list.text.prefix(300))")
                        #expect(try await service.get("/health/live").status == 200)
                        try await Task.sleep(until: asked + .seconds(2))
                        await load.end()
                        let settled = try await settle(network, simulator, service, database)
                        #expect(settled < .seconds(75), "\(fault)")
                        took.append("\(fault) \(settled.shown), a read took \(answered.shown)")
                        try await expectEqual(simulator, database, after: "\(fault)")
                    }
                    #expect(simulator.deliveries.dropped == 0)
                    EndToEnd.report("a bad network to MongoDB, until everything had arrived: \(took.joined(separator: "; ")); \(simulator.deliveries.failures)")
                }
            }
            await database.shutDown()
            await mongod.stop()
        }
    }
}
