import Bytes
import Dispatch
import Model
import Rules
import Store
@testable import Sync
import TestSupport
import Testing

@Suite(.scratchDatabase, .timeLimit(.minutes(2))) struct OutcomesTests {
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
