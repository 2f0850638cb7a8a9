import Bytes
import Foundation
import Mongo
import TestSupport
import Testing

@Suite(.scratchDatabase, .timeLimit(.minutes(2))) struct MongoTests {
    var database: MongoDatabase { ScratchDatabase.current }

    /// Every type that we write comes back as it went.
    @Test func everyTypeSurvivesTheServer() async throws {
        let document: BSONDocument = [
            "_id": "1", "string": "Ünïcödé \u{0} \u{1F600}", "empty": "", "double": 1.5, "int32": 7, "int64": .int64(1 << 60), "yes": true,
            "no": false, "date": .date(-1), "null": nil, "regex": .regex("^a", options: "i"), "binary": .binary([0, 1, 255]),
            "document": ["a": ["b": [1, nil, "c"]]], "array": [], "long": .string(String(repeating: "x", count: 65_536)),
        ]
        let read = try await database.run { client in
            _ = try client.insert([document.bytes], into: "types")
            return try client.findOne(MongoQuery(["_id": "1"]), in: "types")
        }
        #expect(read == document)
    }

    @Test func aDuplicateKeyLeavesTheOtherInsertsAlone() async throws {
        let outcome = try await database.run { client in
            _ = try client.insert((0..<10).map { BSONDocument([("_id", .int32($0 * 3))]).bytes }, into: "rows")
            return try client.insert((0..<30).map { BSONDocument([("_id", .int32($0)), ("secret", "s3cret")]).bytes }, into: "rows")
        }
        #expect(outcome.inserted == 20)
        #expect(outcome.failures.map(\.index) == Array(stride(from: 0, to: 30, by: 3)))
        #expect(outcome.failures.allSatisfy { $0.error.kind == .duplicateKey && $0.error.code == 11000 })
        #expect(try await database.run { try $0.count(in: "rows") } == 30)
    }

    /// Indexes of failures are those of the caller's list, whatever was refused before it was sent.
    @Test func aTooLargeDocumentFailsAlone() async throws {
        let large = BSONDocument([("_id", 1), ("x", .string(String(repeating: "x", count: 16 * 1024 * 1024)))]).bytes
        let outcome = try await database.run { client in
            try client.insert([large, BSONDocument([("_id", 2)]).bytes, BSONDocument([("_id", 2)]).bytes], into: "rows")
        }
        #expect(outcome.inserted == 1)
        #expect(outcome.failures.map(\.index) == [0, 2])
        #expect(outcome.failures.map(\.error.code) == [10334, 11000])
    }

    @Test func aMixedBulkReportsEachWrite() async throws {
        let outcome = try await database.run { client in
            _ = try client.insert((1...6).map { BSONDocument([("_id", .int32($0)), ("n", 0)]).bytes }, into: "rows")
            return try client.bulk(
                [
                    .updateOne(["_id": 1], update: ["$set": ["n": 1]]),
                    .updateOne(["_id": 2], update: ["$inc": ["n": "no number"]]),
                    .updateOne(["_id": 77], update: ["$set": ["n": 1]], upsert: true),
                    .updateMany(["_id": ["$in": [2, 3]]], update: ["$set": ["n": 0]]),
                    .replaceOne(["_id": 4], with: ["m": 1]),
                    .deleteOne(["_id": 5]),
                    .deleteMany(["_id": ["$gt": 100]]),
                    .insert(BSONDocument([("_id", 1)]).bytes),
                ], in: "rows")
        }
        #expect(outcome.matched == 4)
        #expect(outcome.modified == 2)
        #expect(outcome.deleted == 1)
        #expect(outcome.upserted == [2])
        #expect(outcome.failures.map(\.index) == [1, 7])
        #expect(outcome.failures.map(\.error.kind) == [.rejected, .duplicateKey])
    }

    /// 55 MB: more than one message to the server may carry.
    @Test func manyMegabytesAreOneCall() async throws {
        let filler = String(repeating: "y", count: 500_000)
        let outcome = try await database.run { client in
            try client.insert((0..<110).map { BSONDocument([("_id", .int32($0)), ("f", .string(filler))]).bytes }, into: "rows")
        }
        #expect(outcome.inserted == 110)
    }

    @Test func aCursorWalksTenThousandInOrder() async throws {
        let seen = try await database.run { client in
            _ = try client.insert((0..<10_000).shuffled().map { BSONDocument([("_id", .int32($0))]).bytes }, into: "rows")
            var seen: [Int64] = []
            try client.find(MongoQuery(sort: ["_id": 1], batchSize: 500), in: "rows") { seen.append($0["_id"]?.integer ?? -1) }
            return seen
        }
        #expect(seen == (0..<10_000).map(Int64.init))
    }

    @Test func theCallersErrorEndsTheWalk() async throws {
        struct Enough: Error {}
        await #expect(throws: Enough.self) {
            try await database.run { client in
                _ = try client.insert((0..<10).map { BSONDocument([("_id", .int32($0))]).bytes }, into: "rows")
                try client.find(in: "rows") { _ in throw Enough() }
            }
        }
    }

    @Test func countAndAggregateAgree() async throws {
        let (count, sum) = try await database.run { client in
            _ = try client.insert((0..<100).map { BSONDocument([("_id", .int32($0)), ("k", .int32($0 % 4))]).bytes }, into: "rows")
            var sum: Int64 = 0
            try client.aggregate([["$group": ["_id": "$k", "n": ["$sum": 1]]]], in: "rows") { sum += $0["n"]?.integer ?? 0 }
            return (try client.count(MongoQuery(["k": 3]), in: "rows"), sum)
        }
        #expect(count == 25)
        #expect(sum == 100)
        #expect(try await database.run { try $0.count(in: "none") } == 0)
    }

    /// Twenty workers draw a hundred tasks; none draws one twice.
    @Test func findOneAndUpdateLendsEachDocumentOnce() async throws {
        let database = database
        _ = try await database.run { try $0.insert((0..<100).map { BSONDocument([("_id", .int32($0))]).bytes }, into: "tasks") }
        let drawn = try await withThrowingTaskGroup(of: [Int64].self) { group in
            for _ in 0..<20 {
                group.addTask {
                    var mine: [Int64] = []
                    while let task = try await database.run({
                        try $0.findOneAndUpdate(["taken": nil], update: ["$set": ["taken": true]], sort: ["_id": 1], in: "tasks")
                    }) {
                        mine.append(task["_id"]?.integer ?? -1)
                    }
                    return mine
                }
            }
            return try await group.reduce(into: []) { $0 += $1 }
        }
        #expect(drawn.sorted() == (0..<100).map(Int64.init))
    }

    @Test func singleWritesSayWhatTheyMet() async throws {
        try await database.run { client in
            #expect(try client.updateOne(["_id": 1], update: ["$set": ["n": 1]], in: "rows") == false)
            #expect(try client.updateOne(["_id": 1], update: ["$set": ["n": 1]], upsert: true, in: "rows"))
            #expect(try client.updateMany([:], update: ["$inc": ["n": 1]], in: "rows") == 1)
            try client.replaceOne(["_id": 2], with: ["a": 1], upsert: true, in: "rows")
            #expect(try client.deleteMany([:], in: "rows") == 2)
            let before = try client.findOneAndUpdate(
                ["_id": 3], update: ["$set": ["n": 1]], upsert: true, returnsUpdated: false, in: "rows")
            #expect(before == nil)
        }
    }

    /// The server's own record of the commands that it got.
    @Test func everyWriteAsksForMajorityAndJournal() async throws {
        let concerns = try await database.run { client in
            _ = try client.command(["profile": 2])
            _ = try client.insert([BSONDocument([("_id", 1)]).bytes], into: "rows")
            try client.updateMany([:], update: ["$set": ["n": 1]], in: "rows")
            _ = try client.findOneAndUpdate(["_id": 1], update: ["$set": ["n": 2]], in: "rows")
            try client.deleteMany([:], in: "rows")
            _ = try client.command(["profile": 0])
            var concerns: [String: BSONDocument] = [:]
            try client.find(MongoQuery(["command.writeConcern": ["$exists": true]]), in: "system.profile") { entry in
                guard let command = entry["command"]?.document, let name = command.elements.makeIterator().firstKey else { return }
                concerns[name] = command["writeConcern"]?.document
            }
            return concerns
        }
        // The profile of updates and deletes holds the single statement, without the command around it.
        #expect(concerns.keys.map { $0.lowercased() }.sorted() == ["findandmodify", "insert"])
        for concern in concerns.values {
            #expect(concern["w"] == "majority")
            #expect(concern["j"] == true)
            #expect(concern["wtimeout"]?.integer == 10_000)
        }
    }

    @Test func aWriteThatNoMajorityConfirmsIsAnError() async throws {
        let server = try await MongoServer.shared
        // By application name, so that no other test's command fails.
        let database = try MongoDatabase(MongoSettings(uri: server.uri(database.name), threads: 1, applicationName: "unconfirmed"))
        let error = await #expect(throws: MongoError.self) {
            try await database.run { client in
                _ = try client.command(
                    [
                        "configureFailPoint": "failCommand", "mode": ["times": 1],
                        "data": [
                            "failCommands": ["insert"], "appName": "unconfirmed",
                            "writeConcernError": ["code": 64, "errmsg": "waiting for replication timed out"],
                        ],
                    ], on: "admin")
                _ = try client.insert([BSONDocument([("_id", 1)]).bytes], into: "rows")
            }
        }
        #expect(error?.kind == .timedOut)
        #expect(error?.code == 64)
        await database.shutDown()
    }

    @Test func aSlowQueryEndsAtItsTimeLimit() async throws {
        let error = await #expect(throws: MongoError.self) {
            try await database.run { client in
                _ = try client.insert([BSONDocument([("_id", 1)]).bytes], into: "rows")
                try client.find(MongoQuery(["$where": "sleep(5000) || true"], maxTime: .milliseconds(50)), in: "rows") { _ in }
            }
        }
        #expect(error?.kind == .timedOut)
        #expect(error?.code == 50)
    }

    @Test func indexesAreMadeOnceAndConflictsAreTold() async throws {
        let index = IndexSpec("rows", "byKey", keys: ["key": 1], options: ["unique": true])
        try await database.run { client in
            #expect(try client.ensureIndexes([index, IndexSpec("other", "byA", keys: ["a": -1])]).isEmpty)
            #expect(try client.ensureIndexes([index]).isEmpty)
            _ = try client.insert([BSONDocument([("_id", 1), ("key", "alice@example.org")]).bytes], into: "rows")
            let outcome = try client.insert([BSONDocument([("_id", 2), ("key", "alice@example.org")]).bytes], into: "rows")
            #expect(outcome.failures.first?.error.kind == .duplicateKey)
            #expect(outcome.failures.first?.error.message.contains("byKey") == true)
            #expect(outcome.failures.first?.error.message.contains("alice") == false)
            let others = [
                IndexSpec("rows", "byKey", keys: ["key": -1]),  // the name is taken, so it gets another
                IndexSpec("rows", "unique", keys: ["a": 1], options: ["unique": true]),  // two documents have none
                IndexSpec("rows", "sameKeys", keys: ["key": 1], options: ["unique": true]),  // there is one
                IndexSpec("rows", "byText", keys: ["key": 1], options: ["collation": ["locale": "en", "strength": 1]]),
                IndexSpec("rows", "byB", keys: ["b": 1]),
            ]
            _ = try client.insert(
                [[("_id", 3)], [("_id", 4)]].map { BSONDocument($0 as [(String, BSONValue)]).bytes }, into: "rows")
            #expect(try client.missing(of: others).map(\.name).sorted() == ["byB", "byKey", "byText", "unique"])
            #expect(try client.ensureIndexes(others).map(\.index.name).sorted() == ["unique"])
            #expect(try client.missing(of: others).map(\.name).sorted() == ["unique"])
            // Not unique, but there for queries.
            #expect(try client.missing(of: [IndexSpec("rows", "byA", keys: ["a": 1])]).isEmpty)
        }
    }

    /// All eight threads are held until a task beside them lets them go: on Swift's own threads, fewer than eight here, it never could.
    @Test func blockedCallsDoNotHoldUpOtherTasks() async throws {
        let database = database
        let (started, start) = AsyncStream.makeStream(of: Void.self)
        let gate = DispatchSemaphore(value: 0)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<16 {
                group.addTask {
                    try await database.run { client in
                        start.yield()
                        gate.wait()
                        _ = try client.command(["ping": 1])
                    }
                }
            }
            var isHeld = started.makeAsyncIterator()
            for _ in 0..<8 { await isHeld.next() }
            for _ in 0..<16 { gate.signal() }
            try await group.waitForAll()
        }
    }

    @Test func afterShutDownCallsAreRefused() async throws {
        let server = try await MongoServer.shared
        let database = try MongoDatabase(MongoSettings(uri: server.uri(database.name), threads: 2))
        _ = try await database.run { try $0.command(["ping": 1]) }
        await database.shutDown()
        let error = await #expect(throws: MongoError.self) { try await database.run { try $0.command(["ping": 1]) } }
        #expect(error?.kind == .closed)
    }
}

extension BSONElements.Iterator {
    fileprivate var firstKey: String? {
        var copy = self
        return copy.next()?.name
    }
}
