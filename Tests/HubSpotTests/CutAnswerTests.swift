import Curl
import Foundation
import HubSpot
import Logging
import Model
import Rules
import TestSupport
import Testing

/// Answers that end too early, at every length, and answers that come byte by byte.
@Suite(.timeLimit(.minutes(2))) struct CutAnswerTests {
    /// How the end of a body is told.
    enum Framing: CaseIterable, Sendable {
        case length, chunks, close

        func answer(_ body: [UInt8]) -> [UInt8] {
            let head = "HTTP/1.1 207 Multi-Status\r\nContent-Type: application/json\r\n"
            switch self {
            case .length: return Array("\(head)Content-Length: \(body.count)\r\n\r\n".utf8) + body
            case .chunks:
                let pieces = stride(from: 0, to: body.count, by: 100).map { body[$0..<min($0 + 100, body.count)] } + [[]]
                return Array("\(head)Transfer-Encoding: chunked\r\n\r\n".utf8)
                    + pieces.flatMap { Array("\(String($0.count, radix: 16))\r\n".utf8) + $0 + Array("\r\n".utf8) }
            case .close: return Array("\(head)Connection: close\r\n\r\n".utf8) + body
            }
        }
    }

    private static let body = Array(
        #"""
        {"status":"COMPLETE","results":[{"id":"1","properties":{"email":"a@b.example","note":"{\"x\":[1]}"},"createdAt":"2024-01-17T19:55:04.281Z",\#
        "updatedAt":"2026-11-20T08:00:00Z","archived":false},{"id":"2","properties":{"email":null},"createdAt":"2024-01-17T19:55:04.281Z",\#
        "updatedAt":"2026-11-20T08:00:00Z","archived":false}],"numErrors":1,"errors":[{"status":"error","category":"OBJECT_NOT_FOUND",\#
        "message":"gone","context":{"ids":["3"]}}]}
        """#.utf8)

    /// What the server does with the next request; the one after it gets the whole answer.
    private final class Script: @unchecked Sendable {  // `lock` guards what changes
        private let lock = NSLock()
        private let whole: [UInt8]
        private var next: Int?

        init(_ whole: [UInt8]) { self.whole = whole }

        func cutNext(at length: Int) { lock.withLock { next = length } }

        var isCutting: Bool { lock.withLock { next != nil } }

        func answer() -> RawServer.Answer {
            lock.withLock {
                guard let length = next else { return .cut(whole) }
                next = nil
                return .cut(Array(whole[..<length]))
            }
        }
    }

    private static func withClient(_ address: String, _ body: (HubSpotClient) async throws -> Void) async throws {
        let driver = CurlDriver()
        let unlimited = RateLimit(calls: 1_000_000, interval: .seconds(1))
        let client = HubSpotClient(
            settings: HubSpotSettings(
                baseURL: address, accessToken: "token", rateLimit: unlimited, searchRateLimit: unlimited, attemptsMax: 3,
                backoff: Backoff(base: .milliseconds(1), cap: .milliseconds(1)), outagePause: .milliseconds(5)),
            driver: driver, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        try await body(client)
        await driver.shutDown()
    }

    private static func expectWhole(_ client: HubSpotClient, _ comment: String) async throws {
        let batch = try await client.read(.contacts, ids: ["1", "2", "3"], properties: ["email", "note"], archived: false, as: .webhook)
        #expect(batch.records.map(\.id) == ["1", "2"] && batch.missing == ["3"] && batch.failures.isEmpty, "\(comment)")
    }

    @Test(arguments: Framing.allCases) func anAnswerThatIsCutAnywhereIsNeverTakenForAWholeOne(framing: Framing) async throws {
        let whole = framing.answer(Self.body)
        let script = Script(whole)
        let server = try RawServer { _ in script.answer() }
        defer { server.stop() }
        try await Self.withClient(server.url) { client in
            // Of chunks, the last line break says nothing any more.
            for length in 0..<(framing == .chunks ? whole.count - 2 : whole.count) {
                script.cutNext(at: length)
                try await Self.expectWhole(client, "cut after \(length) of \(whole.count) bytes")
                #expect(!script.isCutting)
            }
        }
        #expect(server.requests.count >= 2 * (whole.count - 2))
    }

    @Test(arguments: Framing.allCases) func anAnswerThatComesByteByByteIsTakenWhole(framing: Framing) async throws {
        let whole = framing.answer(Self.body)
        let server = try RawServer { _ in .cut(whole) }
        let network = try FaultyProxy(to: UInt16(server.port))
        network.fault = .drip(1)
        defer {
            network.stop()
            server.stop()
        }
        try await Self.withClient(network.url) { try await Self.expectWhole($0, "byte by byte") }
        #expect(server.requests.count == 1)
    }
}
