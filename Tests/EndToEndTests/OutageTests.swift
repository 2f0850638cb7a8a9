import Foundation
import Simulator
import TestSupport
import Testing

extension EndToEnd {
    /// MongoDB goes away and comes back.
    struct OutageTests {
        @Test func aServiceOutlivesAnOutageOfMongoDB() async throws {
            let mongod = try await MongoServer.start()
            try await withSimulator { simulator in
                try await Service.run(Service.environment(mongodb: mongod.uri("outage"), hubspot: simulator.baseURL)) { service in
                    #expect(try await service.sync("all").integer("synced") == 350)
                    let before = try await service.admin("contacts?limit=250")
                    #expect(before.json["source"] as? String == "mongodb")
                    #expect(before.json["synced"] as? Bool == true)
                    #expect(before.json["fallback"] == nil)
                    await mongod.stop()

                    let start = ContinuousClock.now
                    let list = try await service.admin("contacts?limit=250")
                    let listTook = ContinuousClock.now - start
                    expectFallback(list)
                    let known = contacts(before)
                    #expect(known.count == 250)
                    #expect(contacts(list) == known)
                    let id = try #require(known.keys.first)
                    let single = try await service.admin("contacts/\(id)")
                    expectFallback(single)
                    #expect(comparable(single.object("contact")) == known[id])
                    for type in ["companies", "deals"] { expectFallback(try await service.admin("\(type)?limit=2")) }

                    let sync = try await service.sync("contacts")
                    #expect(sync.status == 503)
                    #expect(sync.isError)
                    #expect(sync.code == "mongodb_unreachable")
                    let status = try await service.admin("sync/status")
                    #expect(status.status == 200)
                    #expect(status.object("mongodb")["reachable"] as? Bool == false)
                    #expect(status.object("hubspot")["reachable"] as? Bool == true)
                    #expect(try await service.get("/health/ready").status == 503)
                    #expect(try await service.get("/health/live").status == 200)

                    try await mongod.resume()
                    _ = try await service.poll("/health/ready") { $0.status == 200 }
                    let after = try await service.sync("all")
                    #expect(after.isSuccess == true)
                    #expect(after.integer("unchanged") == 350)
                    // Reads go to HubSpot until a look every two seconds finds MongoDB again.
                    let again = try await service.poll("/api/admin/hubspot/contacts?limit=250") { $0.json["source"] as? String == "mongodb" }
                    #expect(contacts(again) == known)
                    let recovered = try await service.admin("sync/status")
                    #expect(recovered.object("mongodb")["reachable"] as? Bool == true)
                    #expect(recovered.object("contacts")["total"] as? Int == 250)
                    EndToEnd.report("first read without MongoDB took \(listTook.shown)")
                }
            }
            await mongod.stop()
        }

        @Test func aServiceStartedWithoutMongoDBBecomesReadyWhenItComes() async throws {
            let mongod = try await MongoServer.start()
            await mongod.stop()
            try await withSimulator { simulator in
                let environment = Service.environment(mongodb: mongod.uri("late"), hubspot: simulator.baseURL)
                try await Service.run(environment, isReady: false) { service in
                    _ = try await service.process.line(with: "MongoDB is not ready yet")
                    #expect(try await service.get("/health/live").status == 200)
                    #expect(try await service.get("/health/ready").status == 503)
                    expectFallback(try await service.admin("deals?limit=3"))

                    try await mongod.resume()
                    _ = try await service.process.line(with: "MongoDB is ready")
                    _ = try await service.poll("/health/ready") { $0.status == 200 }
                    #expect(try await service.sync("deals").integer("synced") == 60)
                }
            }
            await mongod.stop()
        }

        private func expectFallback(_ reply: Service.Reply) {
            #expect(reply.status == 200, "\(reply.text.prefix(500))")
            #expect(reply.json["source"] as? String == "hubspot")
            #expect(reply.json["synced"] as? Bool == false)
            #expect(reply.json["fallback"] as? Bool == true)
        }

        /// By id, without what only the mirror knows.
        private func contacts(_ reply: Service.Reply) -> [String: NSDictionary] {
            let records = reply.json["contacts"] as? [[String: Any]] ?? []
            return Dictionary(records.map { ($0["hubspotId"] as? String ?? "", comparable($0)) }, uniquingKeysWith: { first, _ in first })
        }

        private func comparable(_ record: [String: Any]) -> NSDictionary {
            record.filter { !["lastSyncedAt", "associations"].contains($0.key) } as NSDictionary
        }
    }
}
