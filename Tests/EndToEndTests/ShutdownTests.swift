import Curl
import Foundation
import Model
import Mongo
import Simulator
@testable import TestSupport
import Testing

extension EndToEnd {
    /// Stopping in the middle of work.
    @Suite(.scratchDatabase) struct ShutdownTests {
        @Test func aSyncThatIsStoppedGoesOnAtTheNextStart() async throws {
            let database = ScratchDatabase.current
            try await withSimulator({
                $0.contacts = 2_000
                $0.latency = .milliseconds(250)
            }) { simulator in
                let environment = Service.environment(
                    mongodb: try await MongoServer.shared.uri(database.name), hubspot: simulator.baseURL)
                // `run` sends SIGTERM while the sync is under way, and expects exit 0 within 10 s.
                let (id, process) = try await Service.run(environment) { service in
                    let started = try await service.sync("contacts?wait=false")
                    #expect(started.status == 202)
                    let id = try #require(started.json["id"] as? String)
                    let running = try await service.poll("/api/admin/hubspot/sync/runs/\(id)") { ($0.integer("processed") ?? 0) > 0 }
                    #expect(running.json["state"] as? String == "running")
                    return (id, service.process)
                }
                #expect(process.standardError.contains("Stopped"))
                simulator.latency = .zero
                try await Service.run(environment) { service in
                    // Asked for again it is the one that was left, unless that is done already.
                    let run = try await service.poll("/api/admin/hubspot/sync/runs/\(id)") { $0.json["state"] as? String != "running" }
                    #expect(run.json["state"] as? String == "succeeded", "\(run.text)")
                    #expect(run.integer("resumptions") == 1 && run.integer("processed") == 2_000)
                    let result = run.object("result")
                    #expect(result["success"] as? Bool == true)
                    let comparison = try await MirrorComparison([.contacts], simulatorURL: simulator.baseURL, database: database)
                    #expect(comparison.isEqual && comparison.records == 2_000, "\(comparison.differences.joined(separator: "\n"))")
                }
            }
        }

        /// A call to it cannot be cut short.
        @Test func aMongoDBThatStandsStillDoesNotHoldTheEndUp() async throws {
            let server = try await MongoServer.start()
            try await withSimulator { simulator in
                // `run` sends SIGTERM at its end, and expects exit 0 within 10 s.
                try await Service.run(Service.environment(mongodb: server.uri("frozen"), hubspot: simulator.baseURL)) { _ in
                    await server.members[0].freeze()
                    // Until calls wait for it: there is one each second.
                    try await Task.sleep(for: .seconds(3))
                }
            }
            await server.kill()
        }

        /// The driver's shared memory would stay, and its name be met again by a later process of the same id.
        @Test func aKilledProcessLeavesNoSharedMemory() async throws {
            let process = try ServiceProcess(["simulate", "--port", "0"])
            _ = try await process.line(with: "listens")
            let id = process.identifier
            await process.kill()
            #expect(!FileManager.default.fileExists(atPath: "/dev/shm/mongoc-\(id)"))
        }

        @Test func aKilledSyncLeavesWhatTheNextOneCompletes() async throws {
            let database = ScratchDatabase.current
            try await withSimulator({
                $0.contacts = 2_000
                $0.latency = .milliseconds(100)
            }) { simulator in
                let environment = Service.environment(
                    mongodb: try await MongoServer.shared.uri(database.name), hubspot: simulator.baseURL)
                let process = try ServiceProcess(["serve"], environment: environment)
                let port = try await process.number("port", inLineWith: "Listening")
                _ = try await process.line(with: "MongoDB is ready")
                let client = Service(process: process, url: "http://127.0.0.1:\(port)", driver: CurlDriver())
                let id = try #require(try await client.sync("contacts?wait=false").json["id"] as? String)
                _ = try await client.poll("/api/admin/hubspot/sync/runs/\(id)") { ($0.integer("processed") ?? 0) > 0 }
                await process.kill()
                await client.driver.shutDown()

                simulator.latency = .zero
                try await Service.run(environment) { service in
                    #expect(try await service.sync("contacts").isSuccess == true)
                    let comparison = try await MirrorComparison([.contacts], simulatorURL: simulator.baseURL, database: database)
                    #expect(comparison.isEqual && comparison.records == 2_000, "\(comparison.differences.joined(separator: "\n"))")
                }
            }
        }
    }
}
