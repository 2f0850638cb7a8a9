import Bytes
import Logging
import Model
import Mongo
import TestSupport
import Testing

@testable import Store

/// What was read is taken for true only while nothing has changed, whoever changes it.
@Suite(.scratchDatabase, .timeLimit(.minutes(2))) struct MirrorWatchTests {
    /// Runs the watch of a store beside `body`.
    private func watching(_ store: Store, _ body: () async throws -> Void) async throws {
        let watching = Task { await store.watch.run() }
        let result: Result<Void, any Error>
        do { result = .success(try await body()) } catch { result = .failure(error) }
        watching.cancel()
        await watching.value
        try result.get()
    }

    @Test func aRevisionLastsUntilSomethingChanges() async throws {
        let store = try await Store.scratch()
        try await watching(store) {
            try await store.writer.write([.sample(id: "1")], of: .contacts, at: instant(1))
            try await eventually { store.watch.revision != nil }
            var known = try #require(store.watch.revision)
            // What is no record is no change. The wait for it ends several times.
            try await ScratchDatabase.current.run { client in
                _ = try client.updateOne(["_id": "x"], update: ["$set": ["a": 1]], upsert: true, in: "inbox")
            }
            for _ in 0..<25 {
                try await Task.sleep(for: .milliseconds(100))
                #expect(store.watch.revision == known)
            }
            // Our own writes at once, also those that change nothing but when the record was seen.
            for write in 2...5 {
                try await store.writer.write([.sample(id: "1")], of: .contacts, at: instant(Int64(write)))
                #expect(store.watch.revision != known)
                try await eventually { store.watch.revision != nil }
                known = try #require(store.watch.revision)
            }
            // Others' writes soon.
            let others: [@Sendable (borrowing MongoClient) throws -> Void] = [
                { _ = try $0.updateOne(["_id": "9"], update: ["$set": ["archived": false]], upsert: true, in: "deals") },
                { _ = try $0.updateMany(["_id": "1"], update: ["$set": ["lastSyncedAt": .date(7)]], in: "contacts") },
                { _ = try $0.command(["delete": "deals", "deletes": [["q": ["_id": "9"], "limit": 1]]]) },
                { _ = try $0.command(["drop": "deals"]) },
                { _ = try $0.command(["dropDatabase": 1]) },
            ]
            for (number, other) in others.enumerated() {
                let before = try #require(store.watch.revision)
                try await ScratchDatabase.current.run(other)
                try await eventually { store.watch.revision != before }
                try await eventually { store.watch.revision != nil }
                #expect(store.watch.revision != before, "\(number)")
            }
        }
    }

    @Test func totalsAreCountedOnceUntilSomethingChanges() async throws {
        let store = try await Store.scratch()
        let database = ScratchDatabase.current
        func total(_ archived: Bool = false) async throws -> Int? { try await store.mirror.page(MirrorQuery(.contacts, limit: 1, archived: archived)).total }
        func counts() async throws -> Int {
            try await database.run { try $0.count(MongoQuery(["op": "command", "ns": .string("\(database.name).contacts")]), in: "system.profile") }
        }
        try await watching(store) {
            for number in 1...20 {
                try await store.writer.write([.sample(id: "\(number)")], of: .contacts, at: instant(Int64(number)))
                #expect(try await total() == number)
            }
            // The watch may learn late of the last write, and then knows nothing for a moment.
            try await eventually {
                try await eventually { store.watch.revision != nil }
                #expect(try await total() == 20)
                #expect(try await total(true) == 0)
                let before = try await counts()
                _ = try await database.run { try $0.command(["profile": 2]) }
                for _ in 0..<10 {
                    #expect(try await total() == 20)
                    #expect(try await total(true) == 0)
                }
                _ = try await database.run { try $0.command(["profile": 0]) }
                return try await counts() == before
            }
            // Another program's record is counted as soon as it is known.
            _ = try await database.run { try $0.updateOne(["_id": "77"], update: ["$set": ["archived": false]], upsert: true, in: "contacts") }
            try await eventually { try await total() == 21 }
        }
    }

    /// As with a million records: every count takes its time.
    @Test func aLongCountIsGivenAgainWhileTheMirrorChanges() async throws {
        let store = try await Store.scratch()
        // Nobody watches: nothing is ever known not to have changed.
        let totals = MirrorTotals(database: SlowCalls.database, watch: store.watch, smallMax: 0)
        func total() async throws -> Int { try await totals.total(of: MirrorQuery(.contacts)) }
        try await store.writer.write([.sample(id: "1")], of: .contacts, at: instant(1))
        #expect(try await total() == 1)
        try await store.writer.write([.sample(id: "2")], of: .contacts, at: instant(2))
        #expect(try await total() == 1)
        try await eventually { try await total() == 2 }
    }

    @Test func withoutMongoDBNothingIsKnown() async throws {
        let away = try MongoDatabase(MongoSettings(uri: "mongodb://127.0.0.1:1/away", threads: 2, serverSelectionTimeout: .milliseconds(50)))
        let store = Store(database: away, logger: Logger(label: "test"))
        try await watching(store) {
            for _ in 0..<10 {
                #expect(store.watch.revision == nil)
                try await Task.sleep(for: .milliseconds(20))
            }
        }
        await away.shutDown()
    }
}
