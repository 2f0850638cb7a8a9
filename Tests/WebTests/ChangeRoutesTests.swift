import Bytes
import Curl
import Foundation
import Model
import Mongo
import Store
import TestSupport
import Testing

@testable import Web

@Suite(.scratchDatabase, .timeLimit(.minutes(2))) struct ChangeRoutesTests {
    static let path = "/api/admin/hubspot/changes"

    /// A client of the stream. It blocks: to be used in `onThread`.
    private final class EventSource: @unchecked Sendable {  // one thread at a time uses it
        struct Event: Sendable, Equatable {
            var id = "", name = "", data = ""
            var isComment = false
        }

        private let connection: WebhookConnection

        init(_ site: Site, _ query: String = "", headers: [(String, String)] = [("Authorization", "Bearer \(Site.key)")]) throws {
            connection = try WebhookConnection(port: Int(site.url.split(separator: ":").last ?? "") ?? 0)
            let lines = ["GET \(ChangeRoutesTests.path)\(query) HTTP/1.1", "Host: localhost"] + headers.map { "\($0.0): \($0.1)" }
            connection.send(Array((lines.joined(separator: "\r\n") + "\r\n\r\n").utf8))
        }

        /// The next event; nil when the stream has ended.
        func next() throws -> Event? {
            var event = Event()
            while let line = try connection.line() {
                if line.hasPrefix("HTTP/1.1 "), !line.hasPrefix("HTTP/1.1 200") { return nil }
                if line.hasPrefix("id: ") { event.id = String(line.dropFirst(4)) }
                if line.hasPrefix("event: ") { event.name = String(line.dropFirst(7)) }
                if line.hasPrefix("data: ") { event.data = String(line.dropFirst(6)) }
                if line.isEmpty, !event.name.isEmpty { return event }
            }
            return nil
        }
    }

    private func next(_ source: EventSource) async throws -> EventSource.Event? { try await onThread { try source.next() } }

    private func write(_ site: Site, _ id: String, _ version: Int64, _ value: String, of type: RecordType = .contacts) async throws {
        try await site.bench.store.writer.write(
            [.sample(type, id: id, updatedAt: version, properties: ["email": value, "other": "x"])], of: type, at: .now)
    }

    private func json(_ event: EventSource.Event?, _ site: Site) throws -> [String: Any] {
        let event = try #require(event)
        let change = try #require(try JSONSerialization.jsonObject(with: Data(event.data.utf8)) as? [String: Any])
        let schema = try #require(site.description.resolve("#/components/schemas/Change"))
        #expect(event.name == "change" && site.description.problems(of: change, schema, "") == [], "\(event)")
        return change
    }

    @Test func aPageHearsOfEachChangeAndGoesOnWhereItWas() async throws {
        try await Site.use { site in
            let source = try await onThread { try EventSource(site) }
            let ready = try #require(try await next(source))
            #expect(ready.name == "ready" && ready.data == "{}")
            try await write(site, "1", 1, "marker@example.org")
            let created = try #require(try await next(source))
            #expect(created.data == #"{"type":"contacts","id":"1","kind":"created"}"#)
            _ = try json(created, site)
            try await write(site, "1", 2, "other@example.org")
            let updated = try await next(source)
            #expect(updated?.data == #"{"type":"contacts","id":"1","kind":"updated","properties":["email"],"associations":[]}"#)
            _ = try json(updated, site)
            // Another, from where the first was, by query and by header; the header is the newer.
            for (query, headers) in [("?since=\(created.id)", []), ("?since=\(ready.id)", [("Last-Event-ID", created.id)])] {
                let other = try await onThread {
                    try EventSource(site, query, headers: headers + [("Authorization", "Bearer \(Site.key)")])
                }
                #expect(try await next(other) == updated)
                #expect(try await next(other)?.name == "ready")
            }
            let all = try await onThread { try EventSource(site, "?since=\(ready.id)") }
            #expect(try await next(all) == created)
            #expect(try await next(all) == updated)
            #expect(try await next(all)?.name == "ready")
            try await site.bench.store.writer.absorb(["1"], into: RecordKey(.contacts, "2"), at: .now)
            for source in [source, all] {
                let merged = try json(try await next(source), site)
                #expect(merged["kind"] as? String == "merged" && merged["mergedInto"] as? String == "2")
            }
        }
    }

    @Test func typesAreFiltered() async throws {
        try await Site.use { site in
            let source = try await onThread { try EventSource(site, "?types=deals,companies") }
            #expect(try await next(source)?.name == "ready")
            for type in RecordType.allCases { try await write(site, "1", 1, "x", of: type) }
            #expect(try json(try await next(source), site)["type"] as? String == "companies")
            #expect(try json(try await next(source), site)["type"] as? String == "deals")
        }
    }

    /// Many clients, many changes, some that leave and come back: each has every change once and in order.
    @Test func nothingIsMissedAndNothingComesTwice() async throws {
        try await Site.use { site in
            let records = 300
            let first = try await onThread { try EventSource(site) }
            let start = try #require(try await next(first)).id
            try await withThrowingTaskGroup(of: [String].self) { group in
                for client in 0..<6 {
                    group.addTask {
                        var ids: [String] = [], last = start
                        while ids.count < records {
                            let from = last
                            let source = try await onThread { try EventSource(site, "?since=\(from)") }
                            // Those with a number leave again and again.
                            var rest = client == 0 ? Int.max : client * 17
                            while rest > 0, ids.count < records, let event = try await next(source) {
                                last = event.id
                                if event.name == "change" { ids.append(try #require(try json(event, site)["id"] as? String)) }
                                #expect(event.name != "reset")
                                rest -= 1
                            }
                        }
                        return ids
                    }
                }
                group.addTask {
                    for id in 1...records { try await write(site, "\(id)", 1, "x", of: .deals) }
                    return (1...records).map(String.init)
                }
                for try await ids in group { #expect(ids == (1...records).map(String.init)) }
            }
        }
    }

    @Test func whoCannotBeToldIsToldToReadAnew() async throws {
        try await Site.use { site in
            let now = try await site.bench.store.changes.position()
            for (version, since) in [String(now.dropLast(8)), "0000000000000000"].enumerated() {
                let source = try await onThread { try EventSource(site, "?since=\(since)") }
                let reset = try #require(try await next(source))
                #expect(reset.name == "reset" && reset.id > since)
                #expect(try await next(source)?.name == "ready")
                try await write(site, "1", Int64(version) + 1, "\(version)")
                #expect(try json(try await next(source), site)["id"] as? String == "1")
            }
            // For those who listen too.
            let source = try await onThread { try EventSource(site) }
            #expect(try await next(source)?.name == "ready")
            try await ScratchDatabase.current.run { _ = try $0.command(["drop": "contacts"]) }
            #expect(try await next(source)?.name == "reset")
        }
    }

    @Test func badRequestsAreRefused() async throws {
        try await Site.use { (site: Site) async throws in
            for since in ["1", "x", "82g", String(repeating: "A", count: 1002), "%7B%22$gt%22:1%7D"] {
                #expect(try await site.send("GET", "\(Self.path)?since=\(since)").isError(400, "bad_parameter"))
            }
            #expect(try await site.send("GET", Self.path, [("Last-Event-ID", "nonsense")]).isError(400, "bad_parameter"))
            #expect(try await site.send("GET", "\(Self.path)?types=contacts,tickets").isError(400, "bad_parameter"))
            #expect(try await site.sendOpenly("GET", Self.path).status == 401)
        }
    }

    @Test func streamsAreBoundedAndGivenBack() async throws {
        try await Site.use { site in
            var sources: [EventSource] = []
            for _ in 0..<ChangeFeed.streamsMax {
                let source = try await onThread { try EventSource(site) }
                #expect(try await next(source)?.name == "ready")
                sources.append(source)
            }
            let refused = try await site.send("GET", Self.path)
            #expect(refused.isError(503, "too_many_streams") && refused.headers["Retry-After"] == "10")
            sources.removeLast(40)
            // Who left is noticed when there is something to tell.
            var version: Int64 = 0
            try await eventually {
                version += 1
                try await write(site, "1", version, "\(version)")
                let source = try await onThread { try EventSource(site) }
                return try await next(source)?.name == "ready"
            }
        }
    }

    /// One that does not keep up holds up nobody and is not kept in memory: it ends, and goes on from where it was.
    @Test func whoIsTooSlowIsLeftToCatchUp() async throws {
        try await Site.use { site in
            let store = site.bench.store
            let feed = ChangeFeed(changes: store.changes, logger: site.bench.logger)
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { await feed.run() }
                let (_, slow) = try await feed.follow()
                let (start, quick) = try await feed.follow()
                var heard = quick.makeAsyncIterator()
                let count = 50
                for id in 1...count {
                    try await write(site, "\(id)", 1, "x")
                    var isHeard = false
                    while !isHeard {
                        guard case .batch(let batch)? = await heard.next() else { continue }
                        isHeard = batch.changes.contains { $0.key.id == "\(id)" }
                    }
                }
                var ids: [String] = [], last = start
                for await case .batch(let batch) in slow {
                    ids += batch.changes.map(\.key.id)
                    last = batch.position
                }
                #expect(!ids.isEmpty && ids.count < count)
                ids += try await store.changes.changes(after: last, wait: .zero).changes.map(\.key.id)
                #expect(ids == (1...count).map(String.init))
                group.cancelAll()
            }
        }
    }

    @Test func theStreamEndsWithTheService() async throws {
        var source: EventSource?
        try await Site.use { site in
            let open = try await onThread { try EventSource(site) }
            #expect(try await next(open)?.name == "ready")
            source = open
        }
        let ended = try #require(source)
        #expect(try await next(ended) == nil)
    }

    @Test func withoutMongoDBThereAreNone() async throws {
        try await Site.use(database: try .away()) { (site: Site) async throws in
            #expect(try await site.send("GET", Self.path).isError(503, "mongodb_unreachable"))
        }
    }
}
