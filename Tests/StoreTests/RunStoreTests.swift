import Bytes
import Mongo
import Store
import TestSupport
import Testing

@Suite(.scratchDatabase, .timeLimit(.minutes(1))) struct RunStoreTests {
    @Test func aRunIsReplacedAndLoaded() async throws {
        let store = try await Store.scratch()
        try await store.runs.save(["_id": "a", "startedAt": .date(4_000_000_000_000), "state": "running", "note": 1])
        try await store.runs.save(["_id": "a", "startedAt": .date(4_000_000_000_000), "state": "succeeded"])
        #expect(try await store.runs.load("a") == ["_id": "a", "startedAt": .date(4_000_000_000_000), "state": "succeeded"])
        #expect(try await store.runs.load("b") == nil)
    }

    @Test func theLatestComeFirst() async throws {
        let store = try await Store.scratch()
        // Of these years, so that the server's own clean-up leaves them.
        let base: Int64 = 4_000_000_000_000
        for number in [3, 1, 4, 2] {
            try await store.runs.save(["_id": .string("run\(number)"), "startedAt": .date(base + Int64(number))])
        }
        #expect(try await store.runs.latest(3).map { $0["_id"]?.string } == ["run4", "run3", "run2"])
    }

    @Test func preparingTwiceIsHarmlessAndRunsExpire() async throws {
        let store = try await Store.scratch()
        try await store.prepare()
        var expiry: Int64?
        let reply = try await ScratchDatabase.current.run { try $0.command(["listIndexes": "runs"]) }
        for index in reply["cursor"]?.document?["firstBatch"]?.array ?? [] {
            if let seconds = index.document?["expireAfterSeconds"]?.integer { expiry = seconds }
        }
        #expect(expiry == 2_592_000)
    }
}
