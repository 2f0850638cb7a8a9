import Bytes
import Logging
import Model
import Mongo
import Store
import TestSupport
import Testing

@Suite(.scratchDatabase, .timeLimit(.minutes(1))) struct MirrorSampleTests {
    private var store: Store { Store(database: ScratchDatabase.current, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }) }

    private func fill(_ count: Int) async throws {
        let records = (0..<count).map { Record.sample(id: "\(1000 + $0)", archived: $0.isMultiple(of: 10)) }
        try await store.writer.write(records, of: .contacts, at: .now)
    }

    /// Small parts are drawn by the server, large ones from a walk over the ids.
    @Test(arguments: [(0, 10), (7, 10), (300, 300), (300, 299), (300, 40), (2_000, 30), (2_000, 1)])
    func aSampleIsOfTheSizeAskedAndFromTheMirror(count: Int, size: Int) async throws {
        try await fill(count)
        let all = Set((0..<count).map { "\(1000 + $0)" })
        let sample = try await store.mirror.sample(of: .contacts, count: size)
        #expect(sample.isSubset(of: all))
        // The server may draw one twice.
        #expect((min(size, count) - 1...min(size, count)).contains(sample.count))
        if size >= count { #expect(sample == all) }
    }

    @Test func samplesDiffer() async throws {
        try await fill(2_000)
        for size in [50, 500] {
            let samples = [try await store.mirror.sample(of: .contacts, count: size), try await store.mirror.sample(of: .contacts, count: size)]
            #expect(samples[0] != samples[1])
        }
    }

    @Test func aWalkVisitsEachIdOnce() async throws {
        try await fill(57)
        var ids: [String] = []
        while true {
            let page = try await store.mirror.ids(of: .contacts, after: ids.last ?? "", limit: 10)
            if page.isEmpty { break }
            ids += page
        }
        #expect(ids == (0..<57).map { "\(1000 + $0)" })
        #expect(try await store.mirror.known(["1001", "1", "1056", "1057"], of: .contacts) == ["1001", "1056"])
    }

    @Test func aDocumentThatChangedSinceIsNotDistrusted() async throws {
        try await store.writer.write([.sample(id: "1", updatedAt: 1_000)], of: .contacts, at: Timestamp(milliseconds: 5_000))
        let seen = try #require(try await store.mirror.record(.contacts, "1"))
        try await store.writer.write([.sample(id: "1", updatedAt: 2_000)], of: .contacts, at: Timestamp(milliseconds: 6_000))
        let newer = try #require(try await store.mirror.record(.contacts, "1"))
        func distrust(_ document: BSONDocument) async throws {
            try await store.writer.distrust(
                [.init(id: "1", document: document, updatedAt: Timestamp(milliseconds: 1_500), isLive: true)], of: .contacts,
                at: Timestamp(milliseconds: 7_000))
        }
        try await distrust(seen)
        #expect(try await store.mirror.record(.contacts, "1") == newer)
        try await distrust(newer)
        let outcome = try await store.writer.write([.sample(id: "1", updatedAt: 1_500)], of: .contacts, at: Timestamp(milliseconds: 7_000))
        #expect(outcome.updated == 1 && outcome.unchanged == 0 && outcome.outdated == 0)
        #expect(try await store.mirror.record(.contacts, "1")?["hubspotUpdatedAt"] == .date(1_500))
    }
}
