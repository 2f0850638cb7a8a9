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
        #expect(try await store.runs.begin(run, owner: "x") == nil)
        run.byType[.contacts]?.walk.take(.split(through: 50, first: 52))
        run.byType[.contacts]?.walk.take(.split(through: 90, first: 99))
        run.byType[.contacts]?.walk.take(.page(above: 50, through: 90, after: "60"))
        run.byType[.contacts]?.walk.take(.page(above: 0, through: 50, after: nil))
        run.byType[.companies]?.isDone = true
        #expect(try await store.runs.save(run, owner: "x") == .saved)
        #expect(try await store.runs.load("a") == run)
        run.state = .failed
        run.failureCode = .hubspotMissingScopes
        run.finishedAt = start + .seconds(5)
        run.byType[.deals]?.synced = 3
        run.byType[.deals]?.total = 10
        run.note("deals 5: broken")
        #expect(try await store.runs.save(run, owner: "x") == .saved)
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
        _ = try await store.runs.begin(progress, owner: "x")
        #expect(try await store.runs.save(ended, owner: "x") == .saved)
        #expect(try await store.runs.save(progress, owner: "x") == .lost)
        #expect(try await store.runs.load("a") == ended)
        // The answer was lost, and the end is noted once more.
        #expect(try await store.runs.save(ended, owner: "x") == .saved)
    }

    @Test func theLatestComeFirst() async throws {
        let store = try await Store.scratch()
        for (number, type) in zip([3, 1, 2], RecordType.allCases) {
            _ = try await store.runs.begin(Run(id: "run\(number)", scope: .one(type), startedAt: start + .milliseconds(number)), owner: "x")
        }
        #expect(try await store.runs.latest(limit: 2).map(\.id) == ["run3", "run2"])
    }

    // MARK: Several instances

    @Test func thereIsOneRunOfAKindHoweverManyBegin() async throws {
        let store = try await Store.scratch()
        let others = try await withThrowingTaskGroup(of: Run?.self) { group in
            for number in 0..<8 {
                group.addTask { try await store.runs.begin(Run(id: "run\(number)", scope: .all(), startedAt: start), owner: "\(number)") }
            }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        #expect(others.count { $0 == nil } == 1)
        #expect(Set(others.compactMap { $0?.id }).count == 1)
        #expect(try await store.runs.latest(limit: 10).count == 1)
        // Another kind is free, and so is this one when its run has ended or is to end.
        #expect(try await store.runs.begin(Run(id: "limited", scope: .all(limit: 5), startedAt: start), owner: "x") == nil)
        try await store.runs.requestCancel(store.runs.latest(limit: 10).first { $0.id != "limited" }?.id ?? "")
        #expect(try await store.runs.begin(Run(id: "next", scope: .all(), startedAt: start), owner: "x") == nil)
    }

    @Test func aRunWhoseInstanceIsSilentIsTakenOverAndALivelyOneIsNot() async throws {
        let store = try await Store.scratch()
        var lively = Run(id: "lively", scope: .one(.deals), startedAt: start)
        lively.heartbeatAt = start + .seconds(60)
        _ = try await store.runs.begin(lively, owner: "a")
        var dead = Run(id: "dead", scope: .all(), startedAt: start)
        _ = try await store.runs.begin(dead, owner: "b")
        let now = start + .seconds(61)
        #expect(try await store.runs.takeOver(owner: "c", but: ["dead"], silentSince: start + .seconds(30), at: now) == nil)
        let taken = try await store.runs.takeOver(owner: "c", but: [], silentSince: start + .seconds(30), at: now)
        #expect(taken?.id == "dead" && taken?.resumptions == 1 && taken?.heartbeatAt == now)
        #expect(try await store.runs.takeOver(owner: "d", but: [], silentSince: start + .seconds(30), at: now) == nil)
        // Whoever was only slow learns of it, and cannot end what is no longer its own.
        #expect(try await store.runs.save(dead, owner: "b") == .lost)
        dead.state = .failed
        #expect(try await store.runs.save(dead, owner: "b") == .lost)
        #expect(try await store.runs.load("dead")?.state == .running)
    }

    @Test func aRunThatIsGivenBackIsTakenUpAtOnce() async throws {
        let store = try await Store.scratch()
        var run = Run(id: "a", scope: .all(), startedAt: .now)
        run.heartbeatAt = .now
        _ = try await store.runs.begin(run, owner: "a")
        run.byType[.deals]?.synced = 7
        try await store.runs.release(run, owner: "a")
        let taken = try await store.runs.takeOver(owner: "b", but: [], silentSince: .now - .seconds(10), at: .now)
        #expect(taken?.byType[.deals]?.synced == 7)
    }

    @Test func whoeverCarriesARunOutLearnsThatItIsToStop() async throws {
        let store = try await Store.scratch()
        let run = Run(id: "a", scope: .all(), startedAt: start)
        _ = try await store.runs.begin(run, owner: "a")
        #expect(try await store.runs.save(run, owner: "a") == .saved)
        try await store.runs.requestCancel("a")
        #expect(try await store.runs.save(run, owner: "a") == .cancelRequested)
    }

    /// A Mongoose model with `unique: true`, and somebody's index that has one of our names.
    @Test func indexesOfTheAppAreNoObstacle() async throws {
        try await ScratchDatabase.current.run { client in
            let own: [BSONDocument] = [
                ["key": ["hubspotId": 1], "name": "hubspotId_1", "unique": true], ["key": ["archived": 1], "name": "byStatus"],
            ]
            _ = try client.command(["createIndexes": "contacts", "indexes": .array(own.map(BSONValue.document))])
        }
        let store = try await Store.scratch()
        try await store.prepare()
        #expect(try await store.missingIndexes() == [])
        #expect(await store.isReady())
        try await store.writer.write([.sample(id: "1")], of: .contacts, at: start)
        #expect(try await store.mirror.record(.contacts, "1") != nil)
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
