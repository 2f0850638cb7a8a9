import Bytes
import Dispatch
import Model
import Rules
import Store
@testable import Sync
import TestSupport
import Testing

@Suite(.scratchDatabase, .timeLimit(.minutes(2))) struct OutcomesTests {
    /// What a HubSpot answers that has one contact.
    private static func contact(_ request: RawServer.Request) -> RawServer.Answer {
        if request.path.contains("/properties/") { return .json(#"{"results":[{"name":"email"}]}"#) }
        let record = #"{"id":"1","properties":{"email":"a@b.c"},"createdAt":"2024-01-17T19:55:04.281Z","updatedAt":"2026-11-20T08:00:00Z","archived":false}"#
        return .json(#"{"status":"COMPLETE","results":[\#(record)]}"#)
    }

    /// A token that may read contacts and not deals mirrors contacts, whatever their events say of deals.
    @Test func aMissingScopeOfTheOtherTypeIsNotTheRecordsFailure() async throws {
        let server = try RawServer { request in
            guard request.path.contains("/associations/") else { return Self.contact(request) }
            return .json(#"{"status":"error","message":"scopes","category":"MISSING_SCOPES","errors":[{"message":"scopes"}]}"#, status: 403)
        }
        defer { server.stop() }
        try await Workbench.use(address: server.url) { bench in
            let outcomes = Outcomes(mirror: bench.store.writer, hubspot: bench.hubspot, catalog: bench.catalog, callClass: .webhook)
            var task = RecordQueue.Task(key: RecordKey(.contacts, "1"), at: .now)
            task.wish.associations = [.deals]
            #expect(await outcomes.reach([task]) == [task.key: .reached])
            let document = try await bench.store.mirror.record(.contacts, "1")
            #expect(document?["syncStatus"] == "synced")
            #expect(server.requests.contains { $0.path.contains("/associations/") })
        }
    }

    /// An event of a clock that is ahead of the record's: HubSpot's batch reads are current, so after some seconds the record is what it is.
    @Test func anEventAfterTheRecordsDateIsNotWaitedForForever() async throws {
        let server = try RawServer { Self.contact($0) }
        defer { server.stop() }
        try await Workbench.use(address: server.url) { bench in
            let outcomes = Outcomes(mirror: bench.store.writer, hubspot: bench.hubspot, catalog: bench.catalog, callClass: .webhook)
            var task = RecordQueue.Task(key: RecordKey(.contacts, "1"), at: .now)
            task.wish.changedAt = .now + .seconds(60)
            #expect(await outcomes.reach([task]) == [task.key: .stale])
            task.wish.changedAt = .now - .seconds(4)
            #expect(await outcomes.reach([task]) == [task.key: .reached])
        }
    }

    /// Deleted when the live records were read, restored when the recycle bin was: neither shows it. Who read it in between knows better.
    @Test func whatIsRestoredBetweenTheTwoReadingsStays() async throws {
        let (asked, ask) = AsyncStream<Void>.makeStream()
        let permitted = DispatchSemaphore(value: 0)
        let server = try RawServer { request in
            if request.path.contains("/properties/") { return .json(#"{"results":[{"name":"dealname"}]}"#) }
            if request.query("archived") == "true" {
                ask.yield()
                permitted.wait()
            }
            return .json(#"{"status":"COMPLETE","results":[]}"#)
        }
        defer { server.stop() }
        try await Workbench.use(address: server.url) { bench in
            let writer = bench.store.writer
            try await writer.write([.sample(.deals, id: "1"), .sample(.deals, id: "2")], of: .deals, at: .now - .seconds(60))
            let outcomes = Outcomes(mirror: writer, hubspot: bench.hubspot, catalog: bench.catalog, callClass: .full)
            async let looked: Void = outcomes.lookUp(["1", "2"], of: .deals) { _ in }
            var bin = asked.makeAsyncIterator()
            await bin.next()  // what seems gone is looked for twice
            permitted.signal()
            await bin.next()
            try await writer.write([.sample(.deals, id: "1", updatedAt: 2_000)], of: .deals, at: .now)
            permitted.signal()
            try await looked
            #expect(try await bench.store.mirror.record(.deals, "1")?["archived"] == false)
            #expect(try await bench.store.mirror.record(.deals, "2")?["archived"] == true)
        }
    }
}
