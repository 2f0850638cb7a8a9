import Bytes
import Model
import Mongo
import Store
import TestSupport
import Testing

@Suite(.scratchDatabase, .timeLimit(.minutes(1))) struct RunStoreTests {
    /// Of these years, so that the server's own clean-up leaves them.
    private let start = Timestamp(milliseconds: 4_000_000_000_000)

    @Test func aRunIsReplacedAndLoadedWhole() async throws {
        let store = try await Store.scratch()
        var run = Run(id: "a", scope: .all(limit: 7), startedAt: start)
        try await store.runs.save(run)
        run.state = .failed
        run.failureCode = .hubspotMissingScopes
        run.finishedAt = start + .seconds(5)
        run.byType[.deals]?.synced = 3
        run.byType[.deals]?.total = 10
        run.note("deals 5: broken")
        try await store.runs.save(run)
        #expect(try await store.runs.load("a") == run)
        #expect(try await store.runs.load("b") == nil)
    }

    /// Progress travels by another connection than the end, and may come after it.
    @Test func progressThatComesLateDoesNotReviveARunThatHasEnded() async throws {
        let store = try await Store.scratch()
        let progress = Run(id: "a", scope: .all(), startedAt: start)
        var ended = progress
        ended.state = .succeeded
        ended.finishedAt = start + .seconds(5)
        try await store.runs.save(progress)
        try await store.runs.save(ended)
        try await store.runs.save(progress)
        #expect(try await store.runs.load("a") == ended)
    }

    @Test func theLatestComeFirst() async throws {
        let store = try await Store.scratch()
        for number in [3, 1, 4, 2] {
            try await store.runs.save(Run(id: "run\(number)", scope: .one(.deals), startedAt: start + .milliseconds(number)))
        }
        #expect(try await store.runs.latest(limit: 3).map(\.id) == ["run4", "run3", "run2"])
    }

    @Test func aRunWhoseInstanceIsSilentIsFailedAndALivelyOneIsNot() async throws {
        let store = try await Store.scratch()
        var lively = Run(id: "lively", scope: .all(), startedAt: start)
        lively.heartbeatAt = start + .seconds(60)
        try await store.runs.save(lively)
        try await store.runs.save(Run(id: "dead", scope: .all(), startedAt: start))
        try await store.runs.failInterrupted(silentSince: start + .seconds(30), at: start + .seconds(61))
        #expect(try await store.runs.load("lively")?.state == .running)
        let dead = try await store.runs.load("dead")
        #expect(dead?.state == .failed)
        #expect(dead?.failureCode == .interrupted)
        #expect(dead?.finishedAt == start + .seconds(61))
    }

    @Test func preparingTwiceIsHarmlessAndRunsExpire() async throws {
        let store = try await Store.scratch()
        try await store.prepare()
        #expect(try await store.missingIndexes() == [])
        var expiry: Int64?
        let reply = try await ScratchDatabase.current.run { try $0.command(["listIndexes": "runs"]) }
        for index in reply["cursor"]?.document?["firstBatch"]?.array ?? [] {
            if let seconds = index.document?["expireAfterSeconds"]?.integer { expiry = seconds }
        }
        #expect(expiry == 2_592_000)
    }
}
