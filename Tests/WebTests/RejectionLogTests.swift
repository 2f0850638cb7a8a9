import Bytes
import Curl
import Foundation
import Model
import Mongo
import Store
import TestSupport
import Testing

@testable import Web

/// Who cannot sign can make refusals, but not many notes of them, and no large ones.
@Suite(.scratchDatabase, .timeLimit(.minutes(1))) struct RejectionLogTests {
    @Test func onlyAFewAMinuteAreNoted() async throws {
        try await WebhookBench.use { bench in
            let long = String(repeating: "x", count: 4000)
            let body = [UInt8](repeating: 0x20, count: RejectionLog.bodyMax + 1)
            for _ in 1...30 {
                let answer = try await bench.post(body, [("X-HubSpot-Signature", "0"), ("X-Forwarded-Host", long), ("X-HubSpot-Signature-Version", long)])
                #expect(answer.status == 401)
            }
            // Those after this are stored after those before it.
            let store = RejectedStore(database: bench.database)
            try await eventually { try await store.latest(now: .now).count == RejectionLog.perMinute }
            let found = try await store.latest(now: .now)
            #expect(found.allSatisfy { $0.matches == nil && $0.bodyBytes == body.count && $0.forwardedHost?.count == 512 })
            let size = try await bench.database.run { client in
                var size = 0
                try client.find(in: RejectedStore.collection) { size = max(size, $0.bytes.count) }
                return size
            }
            #expect(size < 4_000)
        }
    }

    @Test func theTenLatestAreKeptForADay() async throws {
        let store = RejectedStore(database: ScratchDatabase.current)
        let start = Timestamp.now
        for number in 0..<15 {
            let at = start + .seconds(number)
            try await store.add(
                RejectedDelivery(
                    id: "\(100 + number)", receivedAt: at, reason: "mismatch", method: "POST", url: "http://x/", host: nil, forwardedHost: nil,
                    forwardedProto: "https", versions: ["v3"], ageMs: -5, bodyBytes: 2, bodyHash: "00",
                    matches: [.init(version: "v1", url: nil, secret: 1), .init(version: "v3", url: "https://x/", secret: 2)]))
        }
        let found = try await store.latest(now: start)
        #expect(found.map(\.id) == (105...114).reversed().map(String.init))
        #expect(found.first?.matches?.map(\.url) == [nil, "https://x/"] && found.first?.ageMs == -5 && found.first?.forwardedProto == "https")
        #expect(try await ScratchDatabase.current.run { try $0.count(in: RejectedStore.collection) } == RejectedStore.max)
        #expect(try await store.latest(now: start + .seconds(86_400 + 9)).map(\.id) == (110...114).reversed().map(String.init))
    }
}
