import Bytes
import Curl
import Foundation
import Model
import Mongo
import Signature
import Store
import TestSupport
import Testing

@testable import Web

/// What arrives at a public address: noise, broken HTTP, and deliveries that were tampered with.
@Suite(.scratchDatabase, .timeLimit(.minutes(5))) struct WebhookStormTests {
    private static let workers = 4
    private static let mutationsEach = 2_500
    private static let noiseEach = 260
    private static let noiseBytes = 1_000

    private struct Tally: Sendable {
        var statuses: [Int: Int] = [:]
        var requests = 0
        var bytes = 0
        var noise = 0
        /// Events whose request still verifies as it was sent.
        var verified: Set<Int64> = []
        /// Events whose request was sent whole and unchanged.
        var intact: Set<Int64> = []
        /// Events whose connection saw a 200.
        var accepted: Set<Int64> = []

        mutating func add(_ other: Tally) {
            statuses.merge(other.statuses, uniquingKeysWith: +)
            requests += other.requests
            bytes += other.bytes
            noise += other.noise
            verified.formUnion(other.verified)
            intact.formUnion(other.intact)
            accepted.formUnion(other.accepted)
        }
    }

    @Test func nothingIsAcceptedWithoutAValidSignatureAndNothingBreaks() async throws {
        try await WebhookBench.use { bench in
            let began = ContinuousClock.now
            let sum = try await withThrowingTaskGroup(of: Tally.self) { group in
                for worker in 0..<WebhookStormTests.workers {
                    group.addTask { try await onThread { try WebhookStormTests.work(UInt64(worker + 1), bench) } }
                }
                return try await group.reduce(into: Tally()) { $0.add($1) }
            }
            print(
                "storm: \(sum.requests) tampered requests (\(sum.bytes) bytes), \(sum.noise) bytes of noise, \(sum.intact.count) intact ones in "
                    + "\(ContinuousClock.now - began); answers \(sum.statuses.sorted { $0.key < $1.key }.map { "\($0.key): \($0.value)" }), "
                    + "\(sum.verified.count) verify as they were sent, \(sum.accepted.count) were accepted")
            #expect(sum.noise >= 1_000_000)
            #expect(sum.statuses.keys.filter { $0 >= 500 } == [])
            #expect(sum.statuses[401, default: 0] > 1_000 && sum.statuses[400, default: 0] > 100, "\(sum.statuses)")
            // What was stored is the truth: an answer may be lost with its connection.
            let stored = try await bench.database.run { client in
                var stored: Set<Int64> = []
                try client.find(in: Inbox.collection) { document in
                    for event in document["events"]?.array ?? [] { stored.insert(event.document?["eventId"]?.integer ?? -1) }
                }
                return stored
            }
            #expect(stored.subtracting(sum.verified) == [], "accepted without a valid signature")
            #expect(sum.accepted.subtracting(sum.verified) == [])
            #expect(
                sum.intact.subtracting(stored) == [] && sum.intact.subtracting(sum.accepted) == [],
                "intact ones are refused or lost")
            #expect(try await bench.deliver(WebhookReceiverTests.body(77)).status == 200)
            #expect(!bench.log.lines.contains { $0.contains("Request failed") })
        }
    }

    // MARK: One sender

    private static func work(_ seed: UInt64, _ bench: WebhookBench) throws -> Tally {
        var random = SeededRandom(state: seed), tally = Tally()
        let signer = try Signer(secret: WebhookBench.secret)
        for number in 0..<mutationsEach {
            let id = Int64(seed) * 1_000_000 + Int64(number)
            var bytes = delivery(id, signer, bench, &random)
            let isIntact = number % 25 == 0
            if !isIntact {
                bytes = Bool.random(using: &random) ? tampered(bytes, &random) : tamperedWithin(bytes, &random)
                tally.requests += 1
                tally.bytes += bytes.count
            }
            if verifies(bytes, signer, port: bench.port) { tally.verified.insert(id) }
            for status in try exchange(bytes, bench.port) {
                tally.statuses[status, default: 0] += 1
                if status == 200 { tally.accepted.insert(id) }
            }
            if isIntact { tally.intact.insert(id) }
        }
        for number in 0..<noiseEach {
            let noise = (0..<noiseBytes).map { _ in UInt8.random(in: 0...255, using: &random) }
            tally.noise += noise.count
            let bytes: [UInt8]
            switch number % 4 {
            case 0: bytes = noise
            case 1: bytes = Array("POST /api/webhooks/hubspot HTTP/1.1\r\n".utf8) + noise
            case 2:
                bytes = bench.request(
                    [(SignatureHeader.signature, "0"), (SignatureHeader.version, "v1")], length: noise.count, body: noise)
            default:
                let text = String(decoding: noise.map { 0x21 + $0 % 0x5E }, as: UTF8.self)
                bytes = bench.request(
                    [
                        (SignatureHeader.signatureV3, String(text.prefix(44))),
                        (SignatureHeader.timestamp, String(Timestamp.now.milliseconds)),
                    ],
                    length: noise.count, body: noise)
            }
            for status in try exchange(bytes, bench.port) {
                tally.statuses[status, default: 0] += 1
                if status == 200 { tally.accepted.insert(-1) }
            }
        }
        return tally
    }

    /// Sends everything, says that it is all, and reads what comes until the other side closes.
    private static func exchange(_ bytes: [UInt8], _ port: Int) throws -> [Int] {
        let connection = try WebhookConnection(port: port)
        connection.send(bytes)
        connection.finishSending()
        var statuses: [Int] = []
        while let answer = try connection.answer() { statuses.append(answer.status) }
        return statuses
    }

    /// A good request in one of the ways in which HubSpot signs.
    private static func delivery(_ id: Int64, _ signer: Signer, _ bench: WebhookBench, _ random: inout SeededRandom) -> [UInt8] {
        let body = Array(WebhookReceiverTests.body(Int(id)).utf8)
        let both = signer.headers(method: "POST", uri: bench.url, body: body, timestampMs: Timestamp.now.milliseconds)
        let headers: [(name: String, value: String)]
        switch Int.random(in: 0..<4, using: &random) {
        case 0: headers = Array(both.prefix(2))
        case 1: headers = Array(both.suffix(2))
        case 2:
            headers = [
                (SignatureHeader.signature, signer.v2(method: "POST", uri: bench.url, body: body)), (SignatureHeader.version, "v2"),
            ]
        default: headers = both
        }
        return bench.request(headers, length: body.count, body: body)
    }

    private static func tampered(_ request: [UInt8], _ random: inout SeededRandom) -> [UInt8] {
        var bytes = request
        for _ in 0..<Int.random(in: 1...3, using: &random) where !bytes.isEmpty {
            let place = Int.random(in: 0..<bytes.count, using: &random)
            let end = min(bytes.count, place + Int.random(in: 1...30, using: &random))
            switch Int.random(in: 0..<7, using: &random) {
            case 0: bytes[place] = UInt8.random(in: 0...255, using: &random)
            case 1: bytes[place] ^= 1 << UInt8.random(in: 0...7, using: &random)
            case 2: bytes.removeSubrange(place..<end)
            case 3: bytes.insert(contentsOf: bytes[place..<end], at: Int.random(in: 0...bytes.count, using: &random))
            case 4: bytes.insert(contentsOf: (0..<4).map { _ in UInt8.random(in: 0x20...0x7E, using: &random) }, at: place)
            case 5:
                let line = [
                    "\r\nContent-Length: 2", "\r\nTransfer-Encoding: chunked", "\r\nX-HubSpot-Signature-Version: v1",
                    "\r\nHost: evil", "\r\n\r\n",
                ]
                if let end = bytes.firstIndex(of: 13) {
                    bytes.insert(contentsOf: Array(line.randomElement(using: &random)!.utf8), at: end)
                }
            default: bytes.removeSubrange(place...)
            }
        }
        return bytes
    }

    /// Changes the body and the values of headers, and says the new length: what is whole and well formed, but not what was signed.
    private static func tamperedWithin(_ request: [UInt8], _ random: inout SeededRandom) -> [UInt8] {
        let end = request.firstRange(of: Array("\r\n\r\n".utf8))!
        var lines = String(decoding: request[..<end.lowerBound], as: UTF8.self).components(separatedBy: "\r\n")
        var body = Array(request[end.upperBound...])
        if Bool.random(using: &random) { body = tampered(body, &random) }
        let line = Int.random(in: 1..<lines.count, using: &random)
        if Bool.random(using: &random), let colon = lines[line].firstIndex(of: ":") {
            let value = Array(lines[line][lines[line].index(colon, offsetBy: 2)...].utf8)
            let changed = tampered(value, &random).map { $0 < 0x20 || $0 > 0x7E ? UInt8(ascii: "0") : $0 }
            lines[line] = lines[line][...colon] + " " + String(decoding: changed, as: UTF8.self)
        }
        lines.removeAll { $0.hasPrefix("Content-Length:") }
        lines.append("Content-Length: \(body.count)")
        return Array((lines + ["", ""]).joined(separator: "\r\n").utf8) + body
    }

    // MARK: The judge

    /// Whether some reading of these bytes carries a signature of ours. Reads more leniently than any server: what it refuses nobody
    /// may accept.
    private static func verifies(_ bytes: [UInt8], _ signer: Signer, port: Int) -> Bool {
        guard let end = bytes.firstRange(of: Array("\r\n\r\n".utf8)) else { return false }
        let lines = String(decoding: bytes[..<end.lowerBound], as: UTF8.self).components(separatedBy: "\r\n")
        let rest = Array(bytes[end.upperBound...])
        func values(_ name: String) -> [String] {
            lines.dropFirst().compactMap { line in
                let parts = line.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
                guard parts.count == 2, parts[0].lowercased() == name.lowercased() else { return nil }
                return parts[1].trimmingCharacters(in: .whitespaces)
            }
        }
        var bodies = [rest]
        for length in values("Content-Length").compactMap({ Int($0) }) where (0..<rest.count).contains(length) {
            bodies.append(Array(rest[..<length]))
        }
        let words = lines[0].components(separatedBy: " ")
        guard words.count > 1 else { return false }
        let uris = values("Host").map { "http://\($0)\(words[1])" }
        for body in bodies {
            let v3 = values(SignatureHeader.signatureV3)
            if !v3.isEmpty {
                for uri in uris {
                    for time in values(SignatureHeader.timestamp).compactMap({ Int64($0) })
                    where v3.contains(signer.v3(method: words[0], uri: uri, body: body, timestampMs: time)) { return true }
                }
                continue
            }
            let hashes = values(SignatureHeader.signature)
            if hashes.contains(signer.v1(body: body))
                || uris.contains(where: { hashes.contains(signer.v2(method: words[0], uri: $0, body: body)) })
            {
                return true
            }
        }
        return false
    }
}
