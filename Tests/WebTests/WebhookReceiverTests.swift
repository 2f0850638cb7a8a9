import Bytes
import Curl
import Foundation
import Model
import Mongo
import Signature
import Simulator
import Store
import Sync
import TestSupport
import Testing

@testable import Web

@Suite(.scratchDatabase, .timeLimit(.minutes(3))) struct WebhookReceiverTests {
    /// One event of a contact, told from others by its number.
    static func body(_ number: Int, portal: Int64 = 62515, value: String = "Ada") -> String {
        """
        [{"eventId":\(number),"subscriptionId":4578732,"portalId":\(portal),"appId":54321,"occurredAt":1769081993375,\
        "subscriptionType":"contact.propertyChange","attemptNumber":0,"objectId":508369434347,"propertyName":"firstname",\
        "propertyValue":"\(value)","changeSource":"CRM_UI","sourceId":"userId:52530071"}]
        """
    }

    private static func now() -> Int64 { Int64(Date().timeIntervalSince1970 * 1000) }

    // MARK: 200

    /// Asked at the moment of the 200, over another connection, for what a majority has.
    @Test func a200ComesAfterTheEventsAreDurable() async throws {
        try await WebhookBench.use { bench in
            for number in 1...20 {
                let answer = try await bench.deliver(WebhookReceiverTests.body(number))
                #expect(answer.status == 200)
                #expect(answer["events"] as? Int == 1)
                let found = try await bench.database.run { client in
                    try client.command([
                        "find": .string(Inbox.collection), "filter": ["events.eventId": .int64(Int64(number))],
                        "readConcern": ["level": "majority"],
                    ])
                }
                #expect(found["cursor"]?.document?["firstBatch"]?.array?.count == 1, "event \(number)")
            }
        }
    }

    /// Every body that HubSpot could send, and what it should not send, is taken; no value of a property is kept, anywhere.
    @Test func everyFixtureIsTakenAndNoValueIsKept() async throws {
        try await WebhookBench.use { bench in
            try await eventually { await bench.account.portalId != nil }
            var kept = 0
            for name in WebhookFixtures.names {
                let answer = try await bench.deliver(WebhookFixtures.all[name]!)
                #expect(answer.status == 200, "\(name): \(answer.text)")
                kept += answer["events"] as? Int ?? 0
            }
            for value in ["MARKER-VALUE", "MARKER-\\u0056ALUE"] {
                #expect(try await bench.deliver(WebhookReceiverTests.body(1, value: value)).status == 200)
                kept += 1
            }
            let stored = try await documents(bench)
            #expect(stored.reduce(0) { $0 + ($1["events"]?.array?.count ?? 0) } == kept)
            #expect(kept > 200)
            let bytes = Data(stored.flatMap(\.bytes))
            for value in ["MARKER", "ada@example.com", "Lovelace", "eve@example.com", "closedwon", "REDACTED", "userId:52530071"] {
                #expect(bytes.range(of: Data(value.utf8)) == nil, "\(value) is in the inbox")
            }
            #expect(bytes.range(of: Data("propertyName".utf8)) != nil, "the search finds nothing that is there")
            #expect(!bench.log.lines.contains { $0.contains("MARKER") || $0.contains("eve@example.com") })
        }
    }

    /// What the inbox gives back is what the body said.
    @Test func everyFixtureSurvivesTheInbox() async throws {
        let inbox = Inbox(database: ScratchDatabase.current, retention: .seconds(3600))
        for name in WebhookFixtures.names {
            let delivery = Delivery(
                id: name, receivedAt: .now, signature: "v3", events: try WebhookBody.events(in: WebhookFixtures.all[name]!))
            try await inbox.append([(delivery, .now)], owner: "test")
            var query = Inbox.Query()
            query.id = name
            #expect(try await inbox.deliveries(query) == [delivery], "\(name)")
        }
    }

    private func documents(_ bench: WebhookBench) async throws -> [BSONDocument] {
        try await bench.database.run { client in
            var documents: [BSONDocument] = []
            try client.find(in: Inbox.collection) { documents.append($0) }
            return documents
        }
    }

    private func count(_ bench: WebhookBench) async throws -> Int {
        try await bench.database.run { try $0.count(in: Inbox.collection) }
    }

    // MARK: 401

    @Test func onlyAGoodSignatureIsAccepted() async throws {
        try await WebhookBench.use { bench in
            let body = Array(WebhookReceiverTests.body(1).utf8)
            let signer = try Signer(secret: WebhookBench.secret)
            let now = WebhookReceiverTests.now()
            func v3(_ at: Int64, _ text: String? = nil) -> [(name: String, value: String)] {
                [
                    (SignatureHeader.signatureV3, signer.v3(method: "POST", uri: bench.url, body: body, timestampMs: at)),
                    (SignatureHeader.timestamp, text ?? String(at)),
                ]
            }
            let v1 = [(name: SignatureHeader.signature, value: signer.v1(body: body)), (SignatureHeader.version, "v1")]
            let v2 = [
                (name: SignatureHeader.signature, value: signer.v2(method: "POST", uri: bench.url, body: body)),
                (SignatureHeader.version, "v2"),
            ]
            let good: [String: [(name: String, value: String)]] = [
                "v1 and v3": try bench.signed(body), "v1": v1, "v1 unnamed": [v1[0]], "v2": v2, "v3": v3(now),
                "v3, 4 minutes old": v3(now - 240_000),
                "v3, 4 minutes ahead": v3(now + 240_000), "v3 beside a bad v1": v3(now) + [(SignatureHeader.signature, "00")],
            ]
            for (name, headers) in good {
                #expect(try await bench.post(body, headers).status == 200, "\(name)")
            }
            let bad: [String: [(name: String, value: String)]] = [
                "none": [], "only a version": [v1[1]], "v3 without timestamp": [v3(now)[0]], "v3, 5 minutes old": v3(now - 301_000),
                "v3, 6 minutes ahead": v3(now + 360_000), "v3 with another timestamp": v3(now, String(now + 1)),
                "v3 in seconds": v3(now / 1000),
                "a bad v3 beside a good v1": v1 + [
                    (SignatureHeader.signatureV3, String(repeating: "A", count: 43) + "="),
                    (SignatureHeader.timestamp, String(now)),
                ],
                "an expired v3 beside a good v1": v1 + v3(now - 301_000),
                "an empty v3 beside a good v1": v1 + [
                    (SignatureHeader.signatureV3, "x"), (SignatureHeader.timestamp, String(now)),
                ],
                "another secret": try bench.signed(body, secret: "another"),
                "another URL": Array(try bench.signed(body, url: "https://hooks.example.com/").suffix(2)),
                "v1 called v2": [v1[0], v2[1]], "v2 called v1": [v2[0], v1[1]],
                "the version v9": [v1[0], (SignatureHeader.version, "v9")],
                "v1 twice": [v1[0], v1[0], v1[1]],
            ]
            let before = try await count(bench)
            for (name, headers) in bad {
                let answer = try await bench.post(body, headers)
                #expect(answer.status == 401, "\(name)")
                #expect(answer["success"] as? Bool == false)
                #expect(["missing_signature", "bad_signature"].contains(answer.code), "\(name): \(answer.text)")
            }
            let changed = Array(WebhookReceiverTests.body(2).utf8)
            #expect(try await bench.post(changed, bench.signed(body)).status == 401)
            #expect(try await bench.post(changed, v1).status == 401)
            #expect(try await count(bench) == before)
            #expect(bench.metrics.text().contains("webhook_requests_rejected_total{reason=\"mismatch\"}"))
        }
    }

    @Test func bothSecretsOfARotationCount() async throws {
        try await WebhookBench.use(web: { $0.clientSecrets = ["the-new-secret", WebhookBench.secret] }) { bench async throws in
            let body = Array(WebhookReceiverTests.body(1).utf8)
            for secret in ["the-new-secret", WebhookBench.secret] {
                #expect(try await bench.post(body, bench.signed(body, secret: secret)).status == 200)
            }
            #expect(try await bench.post(body, bench.signed(body, secret: "the-new-secret,\(WebhookBench.secret)")).status == 401)
        }
    }

    @Test func withoutASecretNothingIsAccepted() async throws {
        try await WebhookBench.use(web: { $0.clientSecrets = [] }) { bench in
            let answer = try await bench.deliver(WebhookReceiverTests.body(1))
            #expect(answer.status == 401 && answer.code == "no_client_secret")
            #expect(answer.text.contains("HUBSPOT_CLIENT_SECRET"))
        }
    }

    @Test(arguments: [SignatureVersion.v1, .v2, .v3]) func onlyTheAllowedVersionsCount(version: SignatureVersion) async throws {
        try await WebhookBench.use(web: { $0.signatureVersions = [version] }) { bench in
            let body = Array(WebhookReceiverTests.body(1).utf8)
            let signer = try Signer(secret: WebhookBench.secret)
            let both = try bench.signed(body)
            let v2 = [
                (name: SignatureHeader.signature, value: signer.v2(method: "POST", uri: bench.url, body: body)),
                (SignatureHeader.version, "v2"),
            ]
            #expect(try await bench.post(body, Array(both.prefix(2))).status == (version == .v1 ? 200 : 401))
            #expect(try await bench.post(body, v2).status == (version == .v2 ? 200 : 401))
            #expect(try await bench.post(body, Array(both.suffix(2))).status == (version == .v3 ? 200 : 401))
        }
    }

    // MARK: The URL that was signed

    /// v3 alone, so that the URL decides.
    private func post(_ bench: WebhookBench, signedFor url: String, _ extra: [(name: String, value: String)] = []) async throws
        -> Int
    {
        let body = Array(WebhookReceiverTests.body(1).utf8)
        return try await bench.post(body, Array(bench.signed(body, url: url).suffix(2)) + extra).status
    }

    @Test func aConfiguredURLIsTheOneThatCounts() async throws {
        let url = "https://hooks.example.com/hubspot/webhooks?tenant=a%3Ab"
        try await WebhookBench.use(web: {
            $0.webhookURL = url
            $0.trustsProxy = true
        }) { bench async throws in
            #expect(try await post(bench, signedFor: url) == 200)
            #expect(
                try await post(bench, signedFor: url, [("X-Forwarded-Proto", "http"), ("X-Forwarded-Host", "other.example.com")])
                    == 200)
            #expect(try await post(bench, signedFor: bench.url) == 401)
        }
    }

    @Test func forwardedHeadersCountOnlyFromATrustedProxy() async throws {
        let forwarded = [(name: "X-Forwarded-Proto", value: "https"), (name: "X-Forwarded-Host", value: "hooks.example.com")]
        let url = "https://hooks.example.com/api/webhooks/hubspot"
        try await WebhookBench.use { bench async throws in
            #expect(try await post(bench, signedFor: url, forwarded) == 401)
            #expect(try await post(bench, signedFor: bench.url, forwarded) == 200)
            #expect(try await post(bench, signedFor: bench.url + "?a=b") == 401)
        }
        try await WebhookBench.use(web: { $0.trustsProxy = true }) { bench async throws in
            #expect(try await post(bench, signedFor: url, forwarded) == 200)
            #expect(try await post(bench, signedFor: bench.url, forwarded) == 401)
            #expect(
                try await post(
                    bench, signedFor: url, [("X-Forwarded-Proto", "HTTPS, http"), ("X-Forwarded-Host", "hooks.example.com, inner")])
                    == 200)
            #expect(try await post(bench, signedFor: bench.url) == 200)
        }
    }

    // MARK: 400 and 413

    @Test func aSignedBodyThatIsNoArrayOfObjectsIsRefused() async throws {
        try await WebhookBench.use { bench in
            for body in ["", "{}", "null", "[1]", "[{}", "[{}] x", "propertyValue=secret-marker", "[{\"a\":\"\u{1}\"}]"] {
                let answer = try await bench.deliver(body)
                #expect(answer.status == 400, "\(body)")
                #expect(answer.code == "bad_body")
                #expect(!answer.text.contains("secret-marker"))
            }
            #expect(try await count(bench) == 0)
            // Without a signature nothing is said about the body.
            #expect(try await bench.post(Array("{}".utf8), []).status == 401)
        }
    }

    @Test func aBodyOverTheLimitIsRefusedWhetherDeclaredOrNot() async throws {
        try await WebhookBench.use(web: { $0.webhookBodyMax = 100_000 }) { bench in
            func padded(_ count: Int) -> [UInt8] {
                let body = WebhookReceiverTests.body(1)
                return Array(body.utf8) + [UInt8](repeating: UInt8(ascii: " "), count: count - body.utf8.count)
            }
            #expect(try await bench.deliver(padded(100_000)).status == 200)
            let over = padded(100_001)
            let headers = try bench.signed(over)
            for declared in ["100001", "17179869184", "9223372036854775807", "18446744073709551615"] {
                // Answered before any of it is sent.
                let answer = try await onThread {
                    let connection = try WebhookConnection(port: bench.port)
                    connection.send(bench.request(headers + [("Content-Length", declared)], length: nil))
                    return try connection.answer()
                }
                #expect(answer?.status == 413, "\(declared)")
            }
            let chunked = try await onThread {
                let connection = try WebhookConnection(port: bench.port)
                connection.send(bench.request(headers + [("Transfer-Encoding", "chunked")], length: nil))
                for start in stride(from: 0, to: over.count, by: 10_000) {
                    let chunk = over[start..<min(start + 10_000, over.count)]
                    connection.send(Array("\(String(chunk.count, radix: 16))\r\n".utf8) + chunk + Array("\r\n".utf8))
                }
                connection.send(Array("0\r\n\r\n".utf8))
                return try connection.answer()
            }
            #expect(chunked?.status == 413)
            #expect(try JSONSerialization.jsonObject(with: Data(chunked?.body ?? [])) is [String: Any])
            #expect(try await count(bench) == 1)
            #expect(try await bench.deliver(WebhookReceiverTests.body(2)).status == 200)
        }
    }

    /// What is taken can be stored, however its events look; what has more of them is refused before it is kept anywhere.
    @Test func aHundredTimesWhatHubSpotSendsIsTakenAndNoMore() async throws {
        try await WebhookBench.use { bench in
            let text = String(repeating: "\u{7F}", count: WebhookBody.textMax), number = Int64.max
            let event = """
                {"eventId":\(number),"subscriptionId":\(number),"attemptNumber":\(number),"occurredAt":1769081993375,"objectId":\(number),\
                "subscriptionType":"\(text)","propertyName":"\(text)","primaryObjectId":\(number),"newObjectId":\(number)}
                """
            func body(_ events: Int) -> String { "[" + Array(repeating: event, count: events).joined(separator: ",") + "]" }
            let taken = try await bench.deliver(body(WebhookBody.eventsMax))
            #expect(taken.status == 200 && taken["events"] as? Int == WebhookBody.eventsMax, "\(taken.text)")
            for refused in [body(WebhookBody.eventsMax + 1), "[" + String(repeating: "{},", count: 5_000_000) + "{}]"] {
                let answer = try await bench.deliver(refused)
                #expect(answer.status == 413 && answer.code == "too_many_events", "\(answer.text)")
            }
            #expect(try await count(bench) == 1)
        }
    }

    @Test func aBodyInChunksIsTaken() async throws {
        try await WebhookBench.use { bench in
            let body = Array(WebhookReceiverTests.body(1).utf8)
            let headers = try bench.signed(body)
            let answer = try await onThread {
                let connection = try WebhookConnection(port: bench.port)
                connection.send(bench.request(headers + [("Transfer-Encoding", "chunked")], length: nil))
                for byte in body { connection.send(Array("1\r\n".utf8) + [byte] + Array("\r\n".utf8)) }
                connection.send(Array("0\r\n\r\n".utf8))
                return try connection.answer()
            }
            #expect(answer?.status == 200)
            #expect(try await count(bench) == 1)
        }
    }

    // MARK: 503

    @Test func withoutMongoDBHubSpotIsAskedToComeBackAndThenServed() async throws {
        let server = try await MongoServer.start()
        let database = try MongoDatabase(
            MongoSettings(uri: server.uri("outage", options: "&serverSelectionTimeoutMS=300"), threads: 4))
        _ = try await database.run { try $0.ensureIndexes(Inbox.indexes) }
        try await WebhookBench.use(database: database) { bench in
            #expect(try await bench.deliver(WebhookReceiverTests.body(1)).status == 200)
            await server.stop()
            for number in 2...4 {
                let answer = try await bench.deliver(WebhookReceiverTests.body(number))
                #expect(answer.status == 503 && answer.code == "not_stored", "\(answer.text)")
                #expect(answer.headers["Retry-After"].flatMap { Int($0) } ?? 0 > 0)
                #expect(!answer.text.contains("127.0.0.1"), "\(answer.text)")
            }
            // What cannot be stored is still not accepted without a signature.
            #expect(try await bench.post(Array(WebhookReceiverTests.body(5).utf8), []).status == 401)
            try await server.resume()
            try await eventually { try await bench.deliver(WebhookReceiverTests.body(2)).status == 200 }
            for number in 3...4 { #expect(try await bench.deliver(WebhookReceiverTests.body(number)).status == 200) }
            var stored: Set<Int64> = []
            for delivery in try await bench.store.inbox.deliveries(.init()) {
                for event in delivery.events { stored.insert(event.eventId ?? 0) }
            }
            #expect(stored == [1, 2, 3, 4])
        }
        await database.shutDown()
        await server.stop()
    }

    // MARK: Other accounts

    /// Whichever of the two is the wrong one: nothing that was acknowledged is lost, and nothing is erased on a stranger's word.
    @Test func eventsOfAnotherAccountAreKeptAndOnlyLookedInto() async throws {
        try await WebhookBench.use { bench in
            try await eventually { await bench.account.portalId != nil }
            let foreign = try await bench.deliver(WebhookFixtures.all["another-portal"]!)
            #expect(foreign.status == 200)
            #expect(foreign["events"] as? Int == 1)
            #expect(try await count(bench) == 1)
            let mixed = try await bench.deliver(WebhookFixtures.all["two-portals"]!)
            #expect(mixed["events"] as? Int == 2)
            let stored = try await bench.store.inbox.deliveries(.init()).flatMap(\.events)
            #expect(stored.count == 3 && stored.allSatisfy { $0.isForeign == ($0.portalId != 62515) })
            #expect(bench.metrics.text().contains("hubspot_sync_webhook_events_foreign_total 2"))
            #expect(bench.log.lines.contains { $0.hasPrefix("warning") && $0.contains("another HubSpot account") })
            // An event that does not say whose it is is ours.
            let ours = try await bench.deliver(#"[{"subscriptionType":"contact.creation","objectId":5}]"#)
            #expect(ours["events"] as? Int == 1)
        }
    }

    // MARK: Memory

    /// Five bodies of which four fit: one is asked to come back, the others are taken whole.
    @Test func bodiesShareAMemoryBudgetAndNoneIsLostSilently() async throws {
        try await WebhookBench.use { bench in
            let size = 15 << 20
            let numbers = Array(1...5)
            let results = try await withThrowingTaskGroup(of: (Int, Int?).self) { group in
                let gate = DispatchGroup()
                for _ in numbers { gate.enter() }
                for number in numbers {
                    let start = WebhookReceiverTests.body(number)
                    let body = Array(start.utf8) + [UInt8](repeating: UInt8(ascii: " "), count: size - start.utf8.count)
                    let headers = try bench.signed(body)
                    group.addTask {
                        try await onThread {
                            let connection = try WebhookConnection(port: bench.port)
                            connection.send(bench.request(headers, length: size, body: Array(body.dropLast())))
                            // All of them are in hand before the first is whole.
                            gate.leave()
                            gate.wait()
                            connection.send([body[size - 1]])
                            return (number, try connection.answer()?.status)
                        }
                    }
                }
                return try await group.reduce(into: [Int: Int?]()) { $0[$1.0] = $1.1 }
            }
            let stored = Set(try await bench.store.inbox.deliveries(.init()).flatMap(\.events).compactMap(\.eventId).map(Int.init))
            #expect(stored == Set(results.filter { $0.value == 200 }.keys))
            #expect(Set(results.values.map { $0 ?? 0 }) == [200, 503])
            for number in numbers where !stored.contains(number) {
                #expect(try await bench.deliver(WebhookReceiverTests.body(number)).status == 200)
            }
        }
    }

    /// Connections that announce much and send little take nothing from those that send.
    @Test func silentConnectionsDoNotKeepOthersOut() async throws {
        try await WebhookBench.use { bench in
            let held = try await onThread {
                let bytes = bench.request([(SignatureHeader.signature, "x")], length: 16 << 20, body: Array("[".utf8))
                return try (0..<40).map { _ in
                    let connection = try WebhookConnection(port: bench.port)
                    connection.send(bytes)
                    return connection
                }
            }
            for number in 1...20 { #expect(try await bench.deliver(WebhookReceiverTests.body(number)).status == 200) }
            #expect(held.count == 40)
        }
    }

    @Test func aBodyThatDoesNotComeIsNotWaitedForLongerThanHubSpotWould() async throws {
        try await WebhookBench.use { bench in
            let body = Array(WebhookReceiverTests.body(1).utf8)
            let request = bench.request(try bench.signed(body), length: body.count, body: Array(body.dropLast()))
            let answer = try await onThread {
                let connection = try WebhookConnection(port: bench.port)
                connection.send(request)
                return try connection.answer()
            }
            #expect(answer?.status == 408)
            #expect(try await count(bench) == 0)
        }
    }

    @Test(arguments: [true, false]) func aBodyThatIsCutShortIsNotTaken(isChunked: Bool) async throws {
        try await WebhookBench.use { bench in
            let body = Array(WebhookReceiverTests.body(1).utf8)
            // Signed as it arrives, so that only its length tells.
            let cut = Array("[]".utf8)
            let headers = try bench.signed(cut)
            let request =
                isChunked
                ? bench.request(headers + [("Transfer-Encoding", "chunked")], length: nil, body: Array("2\r\n[]\r\n".utf8))
                : bench.request(headers, length: body.count, body: cut)
            let answer = try await onThread {
                let connection = try WebhookConnection(port: bench.port)
                connection.send(request)
                connection.finishSending()
                return try connection.answer()
            }
            #expect(answer == nil || answer?.status == 400, "\(answer?.status ?? 0)")
            try await eventually { bench.metrics.text().contains(#"webhook_requests_rejected_total{reason="cut"} 1"#) }
            #expect(!bench.log.lines.contains { $0.contains("Request failed") })
        }
    }

    // MARK: Group commit

    @Test func concurrentRequestsShareWrites() async throws {
        try await WebhookBench.use { bench in
            _ = try await bench.database.run { try $0.command(["profile": 2]) }
            let statuses = try await withThrowingTaskGroup(of: Int.self) { group in
                for number in 1...64 { group.addTask { try await bench.deliver(WebhookReceiverTests.body(number)).status } }
                return try await group.reduce(into: [Int]()) { $0.append($1) }
            }
            _ = try await bench.database.run { try $0.command(["profile": 0]) }
            #expect(statuses == Array(repeating: 200, count: 64))
            #expect(try await count(bench) == 64)
            let name = bench.database.name
            let inserts = try await bench.database.run {
                try $0.count(MongoQuery(["op": "insert", "ns": .string("\(name).\(Inbox.collection)")]), in: "system.profile")
            }
            #expect((1...32).contains(inserts), "\(inserts) writes for 64 requests")
        }
    }

    // MARK: Secrets

    @Test func noSecretIsAnsweredOrLogged() async throws {
        try await WebhookBench.use { bench in
            var texts: [String] = []
            texts.append(try await bench.deliver(WebhookReceiverTests.body(1)).text)
            texts.append(try await bench.deliver("{}").text)
            let body = Array(WebhookReceiverTests.body(2).utf8)
            texts.append(try await bench.post(body, []).text)
            texts.append(try await bench.post(body, bench.signed(body, secret: "x")).text)
            texts.append(try await bench.admin("GET", "webhooks").text)
            texts.append(try await bench.admin("GET", "webhooks", key: "wrong").text)
            texts.append(try await bench.admin("GET", "sync/status").text)
            texts.append(bench.metrics.text())
            texts += bench.log.lines
            for secret in [WebhookBench.secret, WebhookBench.adminKey, bench.simulator.token] {
                #expect(texts.filter { $0.contains(secret) } == [])
            }
            #expect(bench.log.lines.contains { $0.contains("A webhook is refused") }, "the log was not recorded")
        }
    }
}
