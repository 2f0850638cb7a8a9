import Bytes
import HubSpot
import Logging
import Model
import Mongo
import ServiceLifecycle
import Simulator
import Store
import Sync
import TestSupport
import Testing

@Suite(.scratchDatabase, .timeLimit(.minutes(2))) struct RunsTests {
    @Test func theMirrorEqualsTheAccountPropertyByProperty() async throws {
        try await Workbench.use(account: { $0.archivedFromStart = 3 }) { bench in
            let run = try await bench.sync(.all())
            #expect(run.state == .succeeded && run.failureCode == nil && run.errorMessages == [])
            #expect(run.sum.synced == 341 && run.sum.updated == 0 && run.sum.errors == 0)
            try await bench.expectMirrorEqualsAccount()
        }
    }

    /// Names that no URL can carry, so that pages go by batch read.
    @Test func anAccountWithManyCustomPropertiesIsMirroredWhole() async throws {
        try await Workbench.use(account: {
            $0.customProperties = 1200
            $0.propertiesPerRecord = 300
            $0.contacts = 120
        }) { bench in
            let run = try await bench.sync(.one(.contacts))
            #expect(run.sum.synced == 120 && run.sum.errors == 0)
            try await bench.expectMirrorEqualsAccount([.contacts])
        }
    }

    @Test func aSecondSyncFindsOnlyWhatChanged() async throws {
        try await Workbench.use { bench in
            _ = try await bench.sync(.one(.contacts))
            let id = bench.simulator.world.seededId(.contacts, 17)
            _ = try bench.simulator.world.update(.contacts, id, ["firstname": "Åsa"])
            let new = try bench.simulator.world.create(.contacts, ["email": "new@example.org"])
            let run = try await bench.sync(.one(.contacts))
            #expect(run.sum.synced == 1 && run.sum.updated == 250 && run.sum.unchanged == 249 && run.sum.errors == 0)
            #expect(try await bench.store.mirror.record(.contacts, "\(id)")?["firstName"] == "Åsa")
            #expect(try await bench.store.mirror.record(.contacts, "\(new)")?["email"] == "new@example.org")
        }
    }

    @Test func aNewCustomPropertyIsSeenByTheNextSync() async throws {
        try await Workbench.use { bench in
            _ = try await bench.sync(.one(.deals))
            let id = bench.simulator.world.seededId(.deals, 3)
            #expect(bench.simulator.world.defineProperty(.deals, name: "favourite_tea"))
            _ = try bench.simulator.world.update(.deals, id, ["favourite_tea": "Lapsang"])
            _ = try await bench.sync(.one(.deals))
            let record = try await bench.store.mirror.record(.deals, "\(id)")
            #expect(record?["properties"]?.document?["favourite_tea"] == "Lapsang")
        }
    }

    // MARK: Joining, limits, progress

    @Test func theSameScopeJoinsAndAnotherDoesNot() async throws {
        try await Workbench.use(account: { $0.latency = .milliseconds(50) }) { bench in
            let first = try await bench.runs.start(.one(.contacts))
            #expect(try await bench.runs.start(.one(.contacts)).id == first.id)
            let others = [SyncScope.one(.contacts, limit: 5), .one(.deals), .all()]
            var ids: Set<String> = [first.id]
            for scope in others { ids.insert(try await bench.runs.start(scope).id) }
            #expect(ids.count == 4)
            #expect(await bench.runs.running.count == 4)
            for id in ids { #expect(try await bench.runs.finished(id)?.state == .succeeded) }
            #expect(await bench.runs.running == [])
            #expect(try await bench.runs.start(.one(.contacts)).id != first.id)
        }
    }

    @Test(arguments: [1, 7, 100, 101, 1000]) func theLimitCapsEachType(limit: Int) async throws {
        try await Workbench.use { bench in
            let run = try await bench.sync(.all(limit: limit))
            let expected = [RecordType.contacts: min(250, limit), .companies: min(40, limit), .deals: min(60, limit)]
            for (type, count) in expected {
                #expect(run.byType[type]?.synced == count && run.byType[type]?.total == count)
                #expect(try await bench.store.mirror.counts()[type]?.synced == count)
            }
            #expect(run.sum.total == expected.values.reduce(0, +) && run.sum.processed == run.sum.total)
        }
    }

    @Test func progressOnlyGrowsAndEndsWithTheFinishedRun() async throws {
        try await Workbench.use(account: { $0.latency = .milliseconds(20) }) { bench in
            let id = try await bench.runs.start(.all()).id
            var seen: [Run] = []
            for await run in try #require(try await bench.runs.updates(of: id)) { seen.append(run) }
            #expect(zip(seen, seen.dropFirst()).allSatisfy { $0.sum.processed <= $1.sum.processed })
            #expect(seen.first?.isFinished == false && seen.count > 2)
            let last = try #require(seen.last)
            #expect(last.state == .succeeded && last.sum.processed == 350 && last.sum.total == 350)
            #expect(try await bench.runs.finished(id) == last)
            var again: [Run] = []
            for await run in try #require(try await bench.runs.updates(of: id)) { again.append(run) }
            #expect(again.map(\.state) == [.succeeded])
            #expect(try await bench.runs.updates(of: "unknown") == nil)
            #expect(try await bench.runs.finished("unknown") == nil)
        }
    }

    /// Records that a webhook or another instance brought up to date meanwhile count as seen.
    @Test func progressReachesTheTotalWhenTheMirrorIsAhead() async throws {
        try await Workbench.use { bench in
            let ids = bench.simulator.world.ids(.companies, limit: 5)
            try await bench.store.writer.write(
                ids.map { .sample(.companies, id: "\($0)", updatedAt: 9_000_000_000_000) }, of: .companies, at: .now)
            let run = try await bench.sync(.one(.companies))
            #expect(run.sum.processed == 40 && run.sum.total == 40)
            #expect(run.sum.synced == 35 && run.sum.updated == 5 && run.sum.unchanged == 5)
        }
    }

    // MARK: Ends

    @Test func aCancelledRunEndsAsCancelledAndKeepsWhatItWrote() async throws {
        try await Workbench.use(account: {
            $0.contacts = 2000
            $0.latency = .milliseconds(30)
        }) { bench in
            let id = try await bench.runs.start(.one(.contacts)).id
            for await run in try #require(try await bench.runs.updates(of: id)) where run.sum.processed > 0 {
                #expect(try await bench.runs.cancel(id)?.id == id)
                // Its scope is free at once: a new request does not get the run that is ending.
                let next = try await bench.runs.start(.one(.contacts))
                #expect(next.id != id)
                _ = try await bench.runs.cancel(next.id)
                break
            }
            let run = try #require(try await bench.runs.finished(id))
            #expect(run.state == .cancelled && run.failureCode == .cancelled && run.finishedAt != nil)
            let count = try #require(try await bench.store.mirror.counts()[.contacts]?.total)
            #expect(count >= run.sum.synced && run.sum.synced > 0 && count < 2000)
            #expect(try await bench.store.runs.load(id)?.state == .cancelled)
            #expect(try await bench.runs.cancel(id)?.state == .cancelled)
            #expect(try await bench.runs.cancel("unknown") == nil)
        }
    }

    @Test func aCallerWhoGivesUpDoesNotStopTheRun() async throws {
        try await Workbench.use(account: { $0.latency = .milliseconds(30) }) { bench in
            let id = try await bench.runs.start(.all()).id
            let caller = Task { try await bench.runs.finished(id) }
            let watcher = Task {
                for await _ in try #require(try await bench.runs.updates(of: id)) {}
            }
            caller.cancel()
            watcher.cancel()
            await #expect(throws: CancellationError.self) { try await caller.value }
            let run = try #require(try await bench.runs.finished(id))
            #expect(run.state == .succeeded && run.sum.synced == 350)
        }
    }

    /// The record's place is taken by a document that is not the mirror's: its insert cannot succeed.
    @Test func oneRecordsFailureIsCountedAndNamedAndStopsNothing() async throws {
        try await Workbench.use { bench in
            let id = "\(bench.simulator.world.seededId(.contacts, 120))"
            try await ScratchDatabase.current.run { client in
                _ = try client.insert([BSONDocument([("_id", "not ours"), ("hubspotId", .string(id))]).bytes], into: "contacts")
            }
            let run = try await bench.sync(.all())
            #expect(run.state == .succeeded && run.sum.errors == 1 && run.sum.synced == 349)
            #expect(run.errorMessages.count == 1 && run.errorMessages[0].hasPrefix("contacts \(id): "))
            #expect(run.sum.processed == run.sum.total)
        }
    }

    /// HubSpot sends records that cannot be read; the list goes on behind them.
    @Test func aRecordThatCannotBeReadIsCountedAndNamed() async throws {
        let server = try RawServer { request in
            let good = #"{"id":"1","properties":{"email":"a@example.org"},"createdAt":"2026-01-01T00:00:00Z","updatedAt":"2026-01-01T00:00:00Z"}"#
            if request.path.contains("/properties/") { return .json(#"{"results":[{"name":"email"}]}"#) }
            if request.path.contains("/associations/") { return .json(#"{"status":"COMPLETE","results":[]}"#) }
            if request.path.hasSuffix("/search") { return .json(#"{"total":3,"results":[]}"#) }
            return .json(#"{"results":[\#(good),{"id":"2","properties":{},"createdAt":"yesterday"},7]}"#)
        }
        defer { server.stop() }
        try await Workbench.use(address: server.url) { bench in
            let run = try await bench.sync(.one(.contacts))
            #expect(run.state == .succeeded && run.sum.synced == 1 && run.sum.errors == 2)
            #expect(run.errorMessages.count == 2 && run.errorMessages[0].hasPrefix("contacts 2: "))
            #expect(run.errorMessages.last?.hasPrefix("contacts without id: ") == true)
        }
    }

    @Test func aTypeWhoseScopeIsMissingFailsTheRunWhileTheOthersComplete() async throws {
        try await Workbench.use(account: { $0.missingScopes = ["crm.objects.deals.read", "crm.schemas.deals.read"] }) { bench in
            let run = try await bench.sync(.all())
            #expect(run.state == .failed && run.failureCode == .hubspotMissingScopes)
            #expect(run.errorMessages.contains { $0.hasPrefix("deals: ") })
            #expect(run.byType[.contacts]?.synced == 250 && run.byType[.companies]?.synced == 40 && run.byType[.deals]?.synced == 0)
        }
    }

    @Test func aWrongTokenAndADeadHubSpotAreToldApart() async throws {
        try await Workbench.use { bench in
            bench.simulator.token = "another"
            let refused = try await bench.sync(.all())
            #expect(refused.failureCode == .hubspotUnauthorized)
            bench.simulator.faults.down = true
            let unanswered = try await bench.sync(.all())
            #expect(unanswered.failureCode == .hubspotUnreachable)
            bench.simulator.faults.down = false
            bench.simulator.token = bench.simulator.settings.token
            let mended = try await bench.sync(.all())
            #expect(mended.state == .succeeded)
        }
    }

    @Test(arguments: [false, true]) func faultsOfHubSpotsAreSurvived(isCompressed: Bool) async throws {
        try await Workbench.use(account: {
            $0.faults = .mixed(0.05)
            $0.compresses = isCompressed
        }) { bench in
            let run = try await bench.sync(.all())
            #expect(run.sum.errors == 0)
            if run.state == .succeeded { try await bench.expectMirrorEqualsAccount() }
        }
    }

    // MARK: Lives of instances

    @Test func aRunOfADeadInstanceIsTakenOver() async throws {
        _ = try await Store(database: ScratchDatabase.current, logger: .init(label: "test")).runs.begin(
            Run(id: "dead", scope: .all(), startedAt: .now - .seconds(60)), owner: "dead")
        try await Workbench.use { bench in
            // Asked for meanwhile, the same sync is that one.
            #expect(try await bench.runs.start(.all()).id == "dead")
            let run = try #require(try await bench.runs.finished("dead"))
            #expect(run.state == .succeeded && run.resumptions == 1 && run.sum.synced == 350)
            try await bench.expectMirrorEqualsAccount()
        }
    }

    @Test func aStopLeavesTheRunToTheNextStart() async throws {
        var id = ""
        try await Workbench.use(account: { $0.latency = .milliseconds(500) }) { bench in
            id = try await bench.runs.start(.all()).id
            // Who waits for it is told at once.
            let waiter = Task { [id] in try await bench.runs.finished(id) }
            await Task.yield()
            waiter.cancel()
            await #expect(throws: CancellationError.self) { try await waiter.value }
        }
        let store = Store(database: ScratchDatabase.current, logger: .init(label: "test"))
        #expect(try await store.runs.load(id)?.state == .running)
        try await Workbench.use { [id] bench in
            let run = try #require(try await bench.runs.finished(id))
            #expect(run.state == .succeeded && run.resumptions == 1)
            try await bench.expectMirrorEqualsAccount()
        }
    }

    @Test func anotherInstanceJoinsWatchesAndCancels() async throws {
        try await Workbench.use(account: {
            $0.contacts = 3000
            $0.latency = .milliseconds(300)
        }) { bench in
            let other = Runs(
                store: bench.store, hubspot: bench.hubspot, catalog: bench.catalog, instance: "other", logger: bench.logger)
            let id = try await bench.runs.start(.one(.contacts)).id
            #expect(try await other.start(.one(.contacts)).id == id)
            #expect(await other.running == [])
            for await run in try #require(try await other.updates(of: id)) where run.sum.processed > 0 { break }
            #expect(try await other.cancel(id)?.id == id)
            let run = try #require(try await other.finished(id))
            #expect(run.state == .cancelled && run.sum.processed < 3000)
            #expect(try await bench.runs.finished(id) == run)
        }
    }

    @Test func runsAreKeptNewestFirst() async throws {
        try await Workbench.use { bench in
            var ids: [String] = []
            for type in RecordType.allCases { ids.insert(try await bench.sync(.one(type, limit: 1)).id, at: 0) }
            #expect(try await bench.runs.latest(limit: 10).map(\.id) == ids)
            #expect(try await bench.runs.latest(limit: 2).map(\.id) == Array(ids.prefix(2)))
            #expect(try await bench.store.runs.latest(limit: 10).map(\.state) == [.succeeded, .succeeded, .succeeded])
        }
    }
}
