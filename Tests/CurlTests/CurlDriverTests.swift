import Curl
import Foundation
import TestSupport
import Testing

/// Every test has a server of its own on loopback, and a driver that is shut down at its end.
@Suite(.timeLimit(.minutes(1))) struct CurlDriverTests {
    private func withDriver<R>(
        connectionsPerHost: Int = 8, _ answer: @escaping @Sendable (RawServer.Request) -> RawServer.Answer,
        _ body: (CurlDriver, RawServer) async throws -> R
    ) async throws -> R {
        let server = try RawServer(answer)
        let driver = CurlDriver(connectionsPerHost: connectionsPerHost)
        defer { server.stop() }
        let result = try await body(driver, server)
        await driver.shutDown()
        return result
    }

    private func kind(_ body: () async throws(CurlError) -> CurlResponse) async -> CurlError.Kind? {
        do {
            _ = try await body()
            return nil
        } catch {
            return error.kind
        }
    }

    @Test func anAnswerComesWithStatusHeadersAndBody() async throws {
        try await withDriver({ _ in .http(207, ["X-HubSpot-RateLimit-Max:  190 "], Array("{}".utf8)) }) { driver, server in
            let response = try await driver.send(CurlRequest(url: server.url + "/a?b=c,d", headers: [("X-Test", "1"), ("X-Empty", "")]))
            #expect(response.status == 207)
            #expect(response.headers["x-hubspot-ratelimit-MAX"] == "190")
            #expect(response.headers["X-HubSpot"] == nil)
            #expect(response.body == Array("{}".utf8))
            let request = try #require(server.requests.first)
            #expect(request.method == "GET" && request.target == "/a?b=c,d")
            #expect(request.header("X-Test") == "1" && request.header("X-Empty") == "")
            #expect(request.header("Accept-Encoding")?.contains("gzip") == true)
        }
    }

    @Test func aBodyIsPostedInOneGo() async throws {
        try await withDriver({ .http(200, [], $0.body) }) { driver, server in
            let body = (0..<2_000_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
            let response = try await driver.send(CurlRequest(method: "POST", url: server.url + "/", body: body))
            #expect(response.body == body)
            #expect(server.requests.first?.method == "POST")
            #expect(server.requests.first?.header("Expect") == nil)
            let empty = try await driver.send(CurlRequest(method: "POST", url: server.url + "/", body: []))
            #expect(empty.body.isEmpty)
            #expect(server.requests.last?.header("Content-Length") == "0")
        }
    }

    @Test func connectionsAreUsedAgain() async throws {
        try await withDriver({ _ in .json("{}") }) { driver, server in
            for _ in 0..<20 { _ = try await driver.send(CurlRequest(url: server.url + "/")) }
            #expect(server.connections == 1)
        }
    }

    @Test func manyAtOnceAllArriveOverFewConnections() async throws {
        try await withDriver(connectionsPerHost: 4, { .json("\"\($0.target)\"") }) { driver, server in
            try await withThrowingTaskGroup(of: Bool.self) { group in
                for number in 0..<300 {
                    group.addTask {
                        let response = try await driver.send(CurlRequest(url: server.url + "/\(number)"))
                        return response.body == Array("\"/\(number)\"".utf8)
                    }
                }
                for try await isRight in group { #expect(isRight) }
            }
            #expect(server.requests.count == 300)
            #expect(server.connections <= 4)
        }
    }

    @Test func gzipIsUnpacked() async throws {
        let packed = "H4sIAEXyBGsC/6tWKkotLs0pKVayio6trR7ljfJGeaO8UR6NeQCy4fnqeAUAAA=="
        let bytes = Array(try #require(Data(base64Encoded: packed)))
        try await withDriver({ _ in .http(200, ["Content-Encoding: gzip"], bytes) }) { driver, server in
            let response = try await driver.send(CurlRequest(url: server.url + "/"))
            #expect(response.body == Array(String(repeating: #"{"results":[]}"#, count: 100).utf8))
            let bomb = await kind { () async throws(CurlError) in try await driver.send(CurlRequest(url: server.url + "/", bodyBytesMax: 1399)) }
            #expect(bomb == .tooLarge)  // counted unpacked
        }
    }

    @Test func aBodyShorterThanPromisedIsAnError() async throws {
        let answers: [RawServer.Answer] = [
            .cut(Array("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"results\":[".utf8)),
            .cut(Array("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"res\r\n".utf8)),
            .cut(Array("HTTP/1.1 200 OK\r\nContent-Le".utf8)), .cut([]), .reset,
            .bytes(Array("SMTP? no\r\n\r\n".utf8)),
            .http(200, ["Content-Encoding: gzip"], Array("not gzip at all".utf8)),
        ]
        for answer in answers {
            try await withDriver({ _ in answer }) { driver, server in
                let kind = await kind { () async throws(CurlError) in try await driver.send(CurlRequest(url: server.url + "/")) }
                #expect(kind == .cutShort, "\(answer)")
            }
        }
    }

    @Test func whatTakesTooLongTimesOut() async throws {
        try await withDriver({ _ in .silence }) { driver, server in
            let started = ContinuousClock.now
            let kind = await kind { () async throws(CurlError) in
                try await driver.send(CurlRequest(url: server.url + "/", timeout: .milliseconds(100)))
            }
            #expect(kind == .timeout)
            #expect(ContinuousClock.now - started < .seconds(10))
        }
    }

    @Test func noServerIsAConnectError() async throws {
        let server = try RawServer { _ in .reset }
        server.stop()
        let driver = CurlDriver()
        let refused = await kind { () async throws(CurlError) in try await driver.send(CurlRequest(url: server.url + "/")) }
        #expect(refused == .connect)
        let unknown = await kind { () async throws(CurlError) in try await driver.send(CurlRequest(url: "http://no-such-host.invalid/")) }
        #expect(unknown == .connect)
        await driver.shutDown()
    }

    @Test func plainTextToATLSPortIsATLSError() async throws {
        let plain = try RawServer(greeting: Array("SSH-2.0-none\r\n".utf8)) { _ in .reset }
        defer { plain.stop() }
        let driver = CurlDriver()
        let kind = await kind { () async throws(CurlError) in try await driver.send(CurlRequest(url: "https://127.0.0.1:\(plain.port)/")) }
        #expect(kind == .tls)
        await driver.shutDown()
    }

    @Test func onlyHTTPIsSpoken() async throws {
        try await withDriver({ _ in .json("{}") }) { driver, server in
            for url in ["file:///etc/hostname", "ftp://127.0.0.1/", "", "nonsense", "http://", "http://127.0.0.1:99999/"] {
                let kind = await kind { () async throws(CurlError) in try await driver.send(CurlRequest(url: url)) }
                #expect(kind == .malformed || kind == .connect, "\(url)")
            }
        }
    }

    @Test func redirectsAreAnswersNotFollowed() async throws {
        try await withDriver({ _ in .http(302, ["Location: http://127.0.0.1:1/"], []) }) { driver, server in
            let response = try await driver.send(CurlRequest(url: server.url + "/", headers: [("Authorization", "Bearer secret")]))
            #expect(response.status == 302)
            #expect(server.requests.count == 1)
        }
    }

    @Test func aHeaderCannotSmuggleAnother() async throws {
        try await withDriver({ _ in .json("{}") }) { driver, server in
            let request = CurlRequest(url: server.url + "/", headers: [("Authorization", "Bearer s3cret\r\nX-Evil: 1")])
            do throws(CurlError) {
                _ = try await driver.send(request)
                Issue.record("it was sent")
            } catch {
                #expect(error.kind == .malformed)
                #expect(!"\(error)".contains("s3cret"))
            }
            #expect(server.requests.isEmpty)
        }
    }

    @Test func interimAnswersAreNotTheAnswer() async throws {
        let bytes = Array("HTTP/1.1 103 Early\r\nX-A: early\r\n\r\nHTTP/1.1 200 OK\r\nX-B: b\r\nContent-Length: 2\r\n\r\n{}".utf8)
        try await withDriver({ _ in .bytes(bytes) }) { driver, server in
            let response = try await driver.send(CurlRequest(url: server.url + "/"))
            #expect(response.status == 200 && response.headers["X-A"] == nil && response.headers["X-B"] == "b")
        }
    }

    @Test func cancellingBeforeSendingSendsNothing() async throws {
        try await withDriver({ _ in .json("{}") }) { driver, server in
            let task = Task {
                withUnsafeCurrentTask { $0?.cancel() }
                return await kind { () async throws(CurlError) in try await driver.send(CurlRequest(url: server.url + "/")) }
            }
            #expect(await task.value == .cancelled)
            #expect(server.requests.isEmpty)
        }
    }

    @Test func cancellingAWaitingCallEndsItAtOnce() async throws {
        let arrived = AsyncStream<Void>.makeStream()
        try await withDriver({ _ in
            arrived.continuation.yield()
            return .silence
        }) { driver, server in
            let task = Task {
                await kind { () async throws(CurlError) in try await driver.send(CurlRequest(url: server.url + "/", timeout: .seconds(50))) }
            }
            var arrivals = arrived.stream.makeAsyncIterator()
            await arrivals.next()
            task.cancel()
            #expect(await task.value == .cancelled)
        }
    }

    @Test func cancellingOneLeavesTheOthers() async throws {
        try await withDriver(connectionsPerHost: 2, { _ in .json("{}") }) { driver, server in
            await withTaskGroup(of: CurlError.Kind?.self) { group in
                for number in 0..<200 {
                    group.addTask {
                        if number % 3 == 0 { withUnsafeCurrentTask { $0?.cancel() } }
                        return await kind { () async throws(CurlError) in try await driver.send(CurlRequest(url: server.url + "/")) }
                    }
                }
                var outcomes: [CurlError.Kind?: Int] = [:]
                for await outcome in group { outcomes[outcome, default: 0] += 1 }
                #expect(outcomes == [nil: 133, .cancelled: 67])
            }
        }
    }

    @Test func shuttingDownEndsWhatIsUnderWayAndRefusesWhatComes() async throws {
        let arrived = AsyncStream<Void>.makeStream()
        try await withDriver({ _ in
            arrived.continuation.yield()
            return .silence
        }) { driver, server in
            let tasks = (0..<5).map { _ in
                Task {
                    await kind { () async throws(CurlError) in try await driver.send(CurlRequest(url: server.url + "/", timeout: .seconds(50))) }
                }
            }
            var arrivals = arrived.stream.makeAsyncIterator()
            for _ in 0..<5 { await arrivals.next() }
            await driver.shutDown()
            for task in tasks { #expect(await task.value == .stopped) }
            let late = await kind { () async throws(CurlError) in try await driver.send(CurlRequest(url: server.url + "/")) }
            #expect(late == .stopped)
            await driver.shutDown()
        }
    }
}
