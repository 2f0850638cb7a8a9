@testable import HubSpot
import Model
import Rules
@testable import Store
@testable import Sync
import TestSupport
import Testing

@testable import Web

/// What the operator is told first.
@Suite struct TroubleTests {
    private let now = Timestamp(milliseconds: 1_800_000_000_000)

    private func report(
        hubspot: Bool? = true, mongodb: Bool = true, counts: [RecordType: MirrorCounts]? = nil, latest: [Run] = [], pausedFor: Duration? = nil,
        daily: (Int, Int)? = nil, oldest: Timestamp? = nil
    ) -> StatusReport {
        var full = MirrorCounts()
        full.synced = 10
        return StatusReport(
            at: now, isHubSpotReachable: hubspot,
            budget: BudgetSnapshot(
                limit: RateLimit(calls: 100, interval: .seconds(10)), allotted: 96, remaining: 90,
                searchLimit: RateLimit(calls: 5, interval: .seconds(1)), searchAllotted: 4, searchRemaining: 5, instances: 1,
                dailyLimit: daily?.0, dailyRemaining: daily?.1, held: [], pausedFor: pausedFor, pauseReason: pausedFor.map { _ in .limited },
                inFlight: 0, waiting: [:]),
            tasks: Pool.Numbers(queued: 3, inFlight: 0, retrying: 1, oldest: oldest, lagP50Ms: nil, lagP99Ms: nil), received: .init(),
            counts: mongodb ? MirrorTally.Counts(byType: counts ?? [.contacts: full], at: now) : nil, isMongoDBReachable: mongodb, running: [],
            latest: latest, ended: [], lists: [:], verified: nil, verifying: nil)
    }

    private func run(_ scope: SyncScope, _ state: Run.State, minutesAgo: Int) -> Run {
        let start = now - .seconds(60 * minutesAgo)
        var run = Run(id: start.iso8601, scope: scope, startedAt: start)
        run.state = state
        run.finishedAt = start + .seconds(30)
        if state == .failed { run.failureCode = .hubspotUnauthorized }
        return run
    }

    private func keys(_ report: StatusReport, rejected: Int = 0, drift: DriftCheck? = nil) -> [String] {
        Trouble.all(of: report, rejected: rejected, drift: drift).map(\.key)
    }

    @Test func allIsWellWhenNothingIsTheMatter() {
        #expect(keys(report()).isEmpty)
        // Not known yet is no trouble.
        #expect(keys(report(hubspot: nil)).isEmpty)
        #expect(keys(report(oldest: now - .seconds(59))).isEmpty)
    }

    @Test func eachTroubleIsToldTheWorstFirst() {
        var broken = MirrorCounts()
        broken.error = 2
        let all = report(
            hubspot: false, counts: [.deals: broken], latest: [run(.all(), .failed, minutesAgo: 5)], pausedFor: .seconds(7), oldest: now - .seconds(240))
        #expect(keys(all, rejected: 1) == ["hubspot", "run-all", "failed", "paused", "late", "rejected"])
        let troubles = Trouble.all(of: all, rejected: 1, drift: nil)
        #expect(troubles[1].advice == "HubSpot refused the access token: check HUBSPOT_ACCESS_TOKEN.")
        #expect(troubles[2].title == "2 records failed." && troubles[4].title == "A change has waited for 4 min.")
        #expect(keys(report(mongodb: false)) == ["mongodb"])
        #expect(keys(report(daily: (1000, 99))) == ["daily"] && keys(report(daily: (1000, 100))).isEmpty)
        #expect(keys(report(counts: [:])) == ["empty"])
        let drift = DriftCheck(status: Array(#"{"verify":{"at":"2026-11-24T08:00:00.000Z","checked":9,"differing":1}}"#.utf8))
        #expect(keys(report(), drift: drift) == ["drift"])
    }

    @Test func aFailedSyncIsToldUntilALaterOneMadeUpForIt() {
        let failed = run(.one(.deals), .failed, minutesAgo: 30)
        #expect(keys(report(latest: [failed])) == ["run-deals"])
        #expect(keys(report(latest: [run(.all(), .succeeded, minutesAgo: 10), failed])).isEmpty)
        #expect(keys(report(latest: [run(.one(.deals), .succeeded, minutesAgo: 10), failed])).isEmpty)
        #expect(keys(report(latest: [run(.one(.contacts), .succeeded, minutesAgo: 10), failed])) == ["run-deals"])
        // Changes only do not make up for a full sync; one of some records neither.
        #expect(keys(report(latest: [run(.incremental, .succeeded, minutesAgo: 10), failed])) == ["run-deals"])
        #expect(keys(report(latest: [run(.all(limit: 5), .succeeded, minutesAgo: 10), failed])) == ["run-deals"])
        #expect(keys(report(latest: [failed, run(.all(), .succeeded, minutesAgo: 40)])) == ["run-deals"])
        #expect(keys(report(latest: [run(.all(), .succeeded, minutesAgo: 10), run(.incremental, .failed, minutesAgo: 20)])).isEmpty)
    }
}
