import Bytes
import Mongo
import Simulator
import TestSupport
import Testing

extension EndToEnd {
    /// What Prometheus hears of the built binary.
    @Suite(.scratchDatabase) struct MetricsTests {
        let database = ScratchDatabase.current

        @Test func everyKindOfCallToMongoDBIsTimed() async throws {
            let start = ContinuousClock.now
            try await withSimulator { simulator in
                let uri = try await MongoServer.shared.uri(database.name)
                try await Service.run(Service.environment(mongodb: uri, hubspot: simulator.baseURL)) { service in
                    #expect(try await service.sync("contacts").integer("errors") == 0)
                    #expect(try await service.admin("sync/status").status == 200)
                    let before = try await service.get("/metrics")
                    let name = "hubspot_sync_mongodb_call_duration_seconds"
                    for kind in ["find", "aggregate", "write", "command"] {
                        #expect(before.metric("\(name)_count{kind=\"\(kind)\"}") ?? 0 > 0, "\(kind)")
                        let sum = before.metric("\(name)_sum{kind=\"\(kind)\"}") ?? 0
                        // At most 9 and 2 at once.
                        #expect(sum > 0 && sum < 11 * (ContinuousClock.now - start).inSeconds, "\(kind)")
                    }

                    // By collection, so that no other test's command is slow.
                    try await makeTheNextFindSlow(in: "contacts")
                    #expect(try await service.admin("contacts?limit=1").status == 200)
                    let after = try await service.get("/metrics")
                    func slow(_ reply: Service.Reply) throws -> Double {
                        try #require(reply.metric("\(name)_count{kind=\"find\"}")) - #require(reply.metric("\(name)_bucket{kind=\"find\",le=\"0.5\"}"))
                    }
                    #expect(try slow(after) - slow(before) == 1)
                    let sum = "\(name)_sum{kind=\"find\"}"
                    #expect(try #require(after.metric(sum)) - #require(before.metric(sum)) >= 0.6)
                }
            }
        }

        private func makeTheNextFindSlow(in collection: String) async throws {
            let namespace = "\(database.name).\(collection)"
            _ = try await database.run {
                try $0.command(
                    [
                        "configureFailPoint": "failCommand", "mode": ["times": 1],
                        "data": ["failCommands": ["find"], "namespace": .string(namespace), "blockConnection": true, "blockTimeMS": 600],
                    ], on: "admin")
            }
        }
    }
}
