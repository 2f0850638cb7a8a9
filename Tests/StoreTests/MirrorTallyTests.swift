import Bytes
import Logging
import Model
import Mongo
import Store
import TestSupport
import Testing

@Suite(.scratchDatabase, .timeLimit(.minutes(2))) struct MirrorTallyTests {
    @Test func whereCountingIsCheapEveryAnswerIsOfNow() async throws {
        let store = try await Store.scratch()
        let tally = MirrorTally(mirror: store.mirror)
        for number in 1...20 {
            try await store.writer.write([.sample(id: "\(number)")], of: .contacts, at: instant(Int64(number)))
            // Whoever asks at once shares a count that began after the question.
            let counts = try await withThrowingTaskGroup(of: Int?.self) { group in
                for _ in 0..<5 { group.addTask { try await tally.counts().byType[.contacts]?.total } }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(counts == Array(repeating: number, count: 5))
        }
    }

    /// As with a million records: every count takes its time.
    @Test func whereItIsNotNobodyWaitsWhoCannot() async throws {
        let store = try await Store.scratch()
        try await store.writer.write([.sample(id: "1")], of: .contacts, at: instant(1))
        let tally = MirrorTally(mirror: Store(database: SlowCalls.database, logger: Logger(label: "test")).mirror, smallMax: 0)
        #expect(try await tally.counts(within: .milliseconds(5)) == nil)
        let first = try await tally.counts()
        #expect(first.byType[.contacts]?.total == 1)
        try await store.writer.write([.sample(id: "2")], of: .contacts, at: instant(2))
        // What was counted lately is given again, and says when that was.
        let again = try #require(try await tally.counts(within: .milliseconds(5)))
        #expect(again.byType[.contacts]?.total == 1 && again.at == first.at)
        // Until its time has come: ten times what it took.
        try await eventually { try await tally.counts().byType[.contacts]?.total == 2 }
    }

    @Test func withoutMongoDBThereAreNoNumbers() async throws {
        let away = try MongoDatabase(MongoSettings(uri: "mongodb://127.0.0.1:1/away", threads: 2, serverSelectionTimeout: .milliseconds(100)))
        let tally = MirrorTally(mirror: Store(database: away, logger: Logger(label: "test")).mirror)
        await #expect(throws: MongoError.self) { try await tally.counts() }
        await #expect(throws: MongoError.self) { try await tally.counts(within: .seconds(20)) }
        await away.shutDown()
    }
}
