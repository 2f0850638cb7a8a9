import Foundation
import Logging
import Model
import Testing

@testable import Simulator

/// The simulator over real sockets.
struct ServerTests {
    private func running(_ change: (inout SimulatorSettings) -> Void = { _ in }, _ body: (Simulator) async throws -> Void)
        async throws
    {
        var settings = SimulatorSettings()
        change(&settings)
        let simulator = Simulator(settings: settings, logger: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() }))
        try await simulator.start()
        do { try await body(simulator) } catch {
            await simulator.stop()
            throw error
        }
        await simulator.stop()
    }

    private func get(_ simulator: Simulator, _ target: String, _ more: String = "") throws -> RawAnswer {
        try RawAnswer.of(
            "GET \(target) HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer \(simulator.token)\r\n\(more)Connection: close\r\n\r\n",
            port: simulator.port)
    }

    @Test(.timeLimit(.minutes(1))) func itAnswersOverHTTP() async throws {
        try await running { simulator in
            let answer = try get(simulator, "/crm/v3/objects/contacts?limit=100")
            #expect(answer.head.hasPrefix("HTTP/1.1 200 OK\r\n"))
            #expect(answer.head.contains("X-HubSpot-RateLimit-Max: 190"))
            #expect(answer.head.contains("Content-Length: \(answer.body.count)"))
            #expect(simulator.calls["GET objects/contacts"] == [200: 1])
            #expect(simulator.maxCallsInAnyWindow(.seconds(10)) == 1)
        }
    }

    @Test(.timeLimit(.minutes(1))) func aCutBodyIsShorterThanItsLength() async throws {
        try await running({ $0.faults.cutBody = 1 }) { simulator in
            let answer = try get(simulator, "/crm/v3/objects/contacts?limit=100")
            let length = try #require(
                answer.head.split(separator: "\r\n").first { $0.hasPrefix("Content-Length: ") }.flatMap { Int($0.dropFirst(16)) })
            #expect(answer.body.count == length / 2)
        }
    }

    @Test(.timeLimit(.minutes(1))) func answersAreCompressedForWhoAcceptsIt() async throws {
        try await running({ $0.compresses = true }) { simulator in
            let target = "/crm/v3/objects/contacts?limit=100"
            let plain = try get(simulator, target), packed = try get(simulator, target, "Accept-Encoding: deflate, gzip\r\n")
            #expect(!plain.head.lowercased().contains("content-encoding") && plain.body.first == UInt8(ascii: "{"))
            #expect(packed.head.lowercased().contains("content-encoding: gzip") && packed.body.count * 3 < plain.body.count)
            simulator.compresses = false
            #expect(try get(simulator, target, "Accept-Encoding: gzip\r\n").body == plain.body)
            simulator.compresses = true
            simulator.faults.cutBody = 1
            let cut = try get(simulator, target, "Accept-Encoding: gzip\r\n")
            #expect(cut.head.lowercased().contains("content-encoding: gzip") && cut.body.count < packed.body.count)
        }
    }

    @Test(.timeLimit(.minutes(1))) func aResetConnectionAnswersNothing() async throws {
        try await running({ $0.faults.reset = 1 }) { simulator in
            #expect(throws: RawAnswer.Reset.self) { try get(simulator, "/crm/v3/objects/contacts") }
            #expect(simulator.calls["GET objects/contacts"] == [0: 1])
        }
    }

    @Test(.timeLimit(.minutes(1))) func theControlEndpointsChangeAndShowTheWorld() async throws {
        try await running { simulator in
            func post(_ path: String, _ body: String) throws -> [String: Any] {
                let answer = try RawAnswer.of(
                    "POST /_simulator/\(path) HTTP/1.1\r\nHost: h\r\nContent-Length: \(body.utf8.count)\r\nConnection: close\r\n\r\n\(body)",
                    port: simulator.port)
                #expect(answer.head.hasPrefix("HTTP/1.1 200"), "\(path): \(answer.head)")
                return try JSONSerialization.jsonObject(with: answer.body) as? [String: Any] ?? [:]
            }
            let done = try post("mutate", #"{"changes":50,"seed":4,"mix":{"update":1,"create":1}}"#)
            #expect((done["update"] as? Int ?? 0) + (done["create"] as? Int ?? 0) == 50)
            _ = try post("update", #"{"type":"contacts","id":"101","properties":{"firstname":"Eve"}}"#)
            #expect(simulator.world.value(.contacts, 101, "firstname") == "Eve")
            _ = try post("delete", #"{"type":"contacts","id":151}"#)
            _ = try post("merge", #"{"type":"contacts","primary":"201","other":"251"}"#)
            _ = try post("gdpr-delete", #"{"id":"301"}"#)
            let page = try get(simulator, "/_simulator/records/contacts?limit=100000")
            let records = try #require(
                (try JSONSerialization.jsonObject(with: page.body) as? [String: Any])?["results"] as? [[String: Any]])
            #expect(records.count == simulator.world.records(.contacts).count)
            #expect(records.first { $0["id"] as? String == "151" }?["archived"] as? Bool == true)
            #expect(records.contains { $0["mergedIds"] as? [String] == ["201", "251"] })
            #expect(!records.contains { $0["id"] as? String == "301" })
            _ = try post("faults", #"{"badGateway":1}"#)
            #expect(simulator.faults.badGateway == 1)
            _ = try post("reset-calls", "")
            #expect(simulator.callCount == 0)
        }
    }

    @Test(.timeLimit(.minutes(1))) func itRunsUntilCancelled() async throws {
        let simulator = Simulator(
            settings: SimulatorSettings(), logger: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() }))
        let task = Task { try await simulator.run() }
        let port = try await simulator.waitForPort()
        #expect(port > 0)
        task.cancel()
        try await task.value
        #expect(throws: RawAnswer.Reset.self) { try RawAnswer.of("GET / HTTP/1.1\r\n\r\n", port: port) }
    }
}
