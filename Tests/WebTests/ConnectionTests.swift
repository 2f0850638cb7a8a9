import Foundation
import Model
import Signature
import TestSupport
import Testing

@testable import Web

/// What clients may hold of the service, and what becomes of those who want more.
@Suite(.scratchDatabase, .timeLimit(.minutes(2))) struct ConnectionTests {
    private func use(_ limits: ConnectionLimits, bodyMax: Int = 16 << 20, _ body: (WebhookBench) async throws -> Void) async throws {
        try await WebhookBench.use(
            web: {
                $0.connections = limits
                $0.webhookBodyMax = bodyMax
            }, body)
    }

    private static let live = Array("GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n".utf8)

    /// How many connections were closed for that reason.
    private func closed(_ reason: String, _ bench: WebhookBench) async throws -> Int {
        let text = try await onThread {
            let connection = try WebhookConnection(port: bench.port)
            connection.send(Array("GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".utf8))
            return String(decoding: try connection.answer()?.body ?? [], as: UTF8.self)
        }
        let line = text.split(separator: "\n").first { $0.contains("http_connections_closed_total{") && $0.contains("\"\(reason)\"") }
        return line.flatMap { $0.split(separator: " ").last }.flatMap { Double($0) }.map { Int($0) } ?? -1
    }

    // MARK: Time

    /// Bytes, one every 20 ms, until the other side has had enough.
    private func trickle(_ connection: WebhookConnection, _ byte: UInt8) -> Duration {
        let start = ContinuousClock.now
        while connection.send([byte]), .now - start < .seconds(60) { usleep(20_000) }
        return .now - start
    }

    @Test func aConnectionWithoutARequestIsClosed() async throws {
        try await use(ConnectionLimits(idleTime: .seconds(1))) { bench in
            let answers = try await onThread {
                let silent = try WebhookConnection(port: bench.port), used = try WebhookConnection(port: bench.port)
                used.send(Self.live)
                return [try used.answer()?.status, try used.answer()?.status, try silent.answer()?.status]
            }
            #expect(answers == [200, nil, nil])
            try await eventually { try await closed("idle", bench) == 2 }
        }
    }

    @Test func aHeadThatDripsIsNotWaitedFor() async throws {
        try await use(ConnectionLimits(requestTime: .seconds(1))) { bench in
            let took = try await onThread {
                let connection = try WebhookConnection(port: bench.port)
                connection.send(Array("GET /health/live HTTP/1.1\r\nX: ".utf8))
                return trickle(connection, UInt8(ascii: "a"))
            }
            #expect(took < .seconds(10))
            try await eventually { try await closed("slow_head", bench) == 1 }
        }
    }

    /// Where nobody waits for the body, as where somebody does.
    @Test(arguments: ["/api/admin/login", "/nothing", "/api/admin/hubspot/sync/all"])
    func aBodyThatDripsIsNotWaitedFor(path: String) async throws {
        try await use(ConnectionLimits(requestTime: .milliseconds(100))) { bench in
            let took = try await onThread {
                let connection = try WebhookConnection(port: bench.port)
                connection.send(Array("POST \(path) HTTP/1.1\r\nHost: x\r\nContent-Length: 4000\r\n\r\n".utf8))
                return trickle(connection, UInt8(ascii: " "))
            }
            #expect(took < .seconds(20))
            try await eventually { try await closed("slow_body", bench) == 1 }
        }
    }

    /// A client that asks for much and takes nothing does not hold it for ever.
    @Test func anAnswerThatIsNotTakenIsNotKept() async throws {
        try await use(ConnectionLimits(idleTime: .seconds(1))) { bench in
            let connection = try await onThread {
                let connection = try WebhookConnection(port: bench.port)
                // Far more than the buffers of both sides hold.
                connection.send(Array(String(repeating: "GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n", count: 500).utf8))
                return connection
            }
            try await eventually { try await closed("stalled", bench) == 1 }
            withExtendedLifetime(connection) {}
        }
    }

    @Test func anAnswerMayTakeLongerThanAllLimits() async throws {
        try await use(ConnectionLimits(idleTime: .seconds(1), requestTime: .seconds(1))) { bench in
            let lines = try await onThread {
                let connection = try WebhookConnection(port: bench.port)
                connection.send(
                    Array("GET /api/admin/hubspot/status/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer \(WebhookBench.adminKey)\r\n\r\n".utf8))
                // Fifteen seconds after the first event.
                return try connection.read(until: ": still here")
            }
            #expect(lines != nil)
        }
    }

    // MARK: Size

    @Test func aHeadMayBeSoLongAndNoLonger() async throws {
        try await use(ConnectionLimits(headMax: 8192)) { bench in
            let heads: [(head: String, status: Int)] = [
                ("GET /health/live HTTP/1.1\r\nHost: x\r\nX: " + String(repeating: "a", count: 8_000), 200),
                ("GET /health/live HTTP/1.1\r\nHost: x\r\nX: " + String(repeating: "a", count: 8_200), 431),
                ("GET /health/live?" + String(repeating: "a", count: 8_200) + " HTTP/1.1\r\nHost: x", 431),
                ("GET /health/live HTTP/1.1\r\nHost: x" + String(repeating: "\r\nX: " + String(repeating: "a", count: 95), count: 90), 431),
                ("GET /health/live HTTP/1.1\r\nHost: x" + String(repeating: "\r\na:", count: 1_100), 431),
                // Ten megabytes, of which it need not take all.
                ("GET /health/live HTTP/1.1\r\nHost: x\r\nX: " + String(repeating: "a", count: 10 << 20), 431),
            ]
            for (head, status) in heads {
                let answer = try await onThread {
                    let connection = try WebhookConnection(port: bench.port)
                    connection.send(Array((head + "\r\n\r\n").utf8))
                    return try connection.answer()
                }
                #expect(answer?.status == status, "\(head.utf8.count)")
                let text = String(decoding: answer?.body ?? [], as: UTF8.self)
                #expect(text.contains("\"code\":\"head_too_large\"") == (status == 431))
            }
        }
    }

    @Test(arguments: [
        "GET\r\n\r\n", "\u{16}\u{03}\u{01}\u{02}\u{00}\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "GET / HTTP/1.1\r\nA\r\n\r\n", "GET / HTTP/1.1\r\nA B: c\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n", "POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ])
    func whatIsNoRequestIsSaidSo(text: String) async throws {
        try await use(ConnectionLimits()) { bench in
            let answer = try await onThread {
                let connection = try WebhookConnection(port: bench.port)
                connection.send(Array(text.utf8))
                return (try connection.answer(), try connection.answer())
            }
            #expect(answer.0?.status == 400 && answer.1 == nil, "\(text.debugDescription)")
            let said = String(decoding: answer.0?.body ?? [], as: UTF8.self)
            #expect(said.contains("\"code\":\"bad_request\""))
        }
    }

    /// A body that nobody wants is read for a while, so that the client sees the answer, but not for ever.
    @Test(arguments: ["/nothing", "/api/webhooks/hubspot", "/api/admin/hubspot/sync/all"])
    func anEndlessBodyEnds(path: String) async throws {
        try await use(ConnectionLimits(), bodyMax: 1 << 20) { bench in
            let sent = try await onThread {
                let connection = try WebhookConnection(port: bench.port)
                connection.send(Array("POST \(path) HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".utf8))
                let chunk = Array("10000\r\n".utf8) + [UInt8](repeating: 0x20, count: 0x10000) + Array("\r\n".utf8)
                var sent = 0
                while sent < 200 << 20, connection.send(chunk) { sent += chunk.count }
                return sent
            }
            // The buffers of both sides come on top.
            #expect(sent < 100 << 20)
            try await eventually { try await closed("long_body", bench) == 1 }
        }
    }

    // MARK: Number

    @Test func requestsInOneGoAreAnsweredInTurn() async throws {
        try await use(ConnectionLimits()) { bench in
            let statuses = try await onThread {
                let connection = try WebhookConnection(port: bench.port)
                let pair = String(decoding: Self.live, as: UTF8.self) + "GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n"
                connection.send(Array(String(repeating: pair, count: 1000).utf8))
                return try (0..<2000).map { _ in try connection.answer()?.status ?? 0 }
            }
            #expect(statuses == (0..<2000).map { $0 % 2 == 0 ? 200 : 404 })
        }
    }

    @Test func atTheLimitTheSilentMakeRoom() async throws {
        try await use(ConnectionLimits(connectionsMax: 16)) { bench in
            let (answers, first) = try await onThread {
                let silent = try (0..<16).map { _ in
                    let connection = try WebhookConnection(port: bench.port)
                    // Answered, so known to the service before the next.
                    connection.send(Self.live)
                    _ = try connection.answer()
                    return connection
                }
                let answers = try (0..<8).map { _ in
                    let connection = try WebhookConnection(port: bench.port)
                    connection.send(Self.live)
                    return try connection.answer()?.status
                }
                // Who has been silent longest had to go, who came last is still served.
                silent[15].send(Self.live)
                return (answers + [try silent[15].answer()?.status], try silent[0].answer()?.status)
            }
            #expect(answers == Array(repeating: 200, count: 9) && first == nil)
            try await eventually { try await closed("crowded", bench) >= 1 }
            #expect(bench.log.lines.contains { $0.contains("MAX_CONNECTIONS") })
        }
    }

    @Test func whoIsAtWorkIsNotClosedForANewOne() async throws {
        try await use(ConnectionLimits(connectionsMax: 16)) { bench in
            let stream = "GET /api/admin/hubspot/status/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer \(WebhookBench.adminKey)\r\n\r\n"
            var (working, refused) = try await onThread {
                let working = try (0..<16).map { _ in
                    let connection = try WebhookConnection(port: bench.port)
                    connection.send(Array(stream.utf8))
                    _ = try connection.read(until: "event: ")
                    return connection
                }
                let late = try WebhookConnection(port: bench.port)
                return (working, try late.answer())
            }
            #expect(refused?.status == 503)
            #expect(refused?.headers["retry-after"] == "1")
            let said = String(decoding: refused?.body ?? [], as: UTF8.self)
            #expect(said.contains("\"code\":\"too_many_connections\""))
            working.removeFirst()
            // One has left, so there is room to ask.
            try await eventually { try await closed("refused", bench) >= 1 }
            #expect(try await closed("crowded", bench) == 0)
            withExtendedLifetime(working) {}
        }
    }
}
