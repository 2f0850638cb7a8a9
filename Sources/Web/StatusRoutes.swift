import Bytes
import HubSpot
import Hummingbird
import Logging
import Model
import Rules
import Store
import Sync

/// The state of everything in one answer. What cannot be known now (MongoDB away) is null, never a guess.
struct StatusRoutes {
    let source: StatusSource
    let feed: StatusFeed
    let streams: EventStreams

    /// - Parameter group: `/api/admin/hubspot`
    func add(to group: RouterGroup<AppContext>) {
        group.get("sync/status") { _, context in Response.json(.ok, await source.report(context.logger).json) }
        group.get("status/events") { request, _ in streams.response(to: request, try await feed.watch(.status)) }
    }
}

/// What is known at one moment.
struct StatusReport: Sendable {
    let at: Timestamp
    /// nil: not known yet.
    let isHubSpotReachable: Bool?
    let budget: BudgetSnapshot
    let tasks: Pool.Numbers
    let received: WebhookCounters.Numbers
    /// nil: they are still being counted, or MongoDB is away.
    let counts: MirrorTally.Counts?
    let isMongoDBReachable: Bool
    /// Of all instances.
    let running: [Run]
    /// Of all instances, newest first.
    let latest: [Run]
    /// Of all instances, the run of each scope that ended last.
    let ended: [Run]
    let lists: [DefinitionSet: DefinitionStore.State]
    /// The last drift check; nil before the first.
    let verified: VerifyReport?
    /// Records that the drift check under way has compared; nil when none is.
    let verifying: Int?
}

/// Looks at everybody who knows a part of the state.
struct StatusSource: Sendable {
    let tally: MirrorTally
    let runs: Runs
    let stored: RunStore
    let hubspot: HubSpotHealth
    let pool: Pool
    let webhooks: WebhookCounters
    let definitions: Definitions
    let verification: Verification

    private static let latestMax = 50
    private static let patience: Duration = .milliseconds(25)

    /// - Parameter isHurried: for a page, which shows what is known already rather than wait for HubSpot or for a count of a million records.
    func report(_ logger: Logger, isHurried: Bool = false) async -> StatusReport {
        let reachable = isHurried ? await hubspot.lastKnown() : await hubspot.isReachable()
        let budget = await hubspot.budget()
        var running = await runs.running
        let tasks = await pool.numbers
        let received = webhooks.numbers
        var counts: MirrorTally.Counts?
        var latest: [Run] = []
        var ended: [Run] = []
        var lists: [DefinitionSet: DefinitionStore.State] = [:]
        var isMongoDBReachable = true
        do {
            counts = isHurried ? try await tally.counts(within: StatusSource.patience) : try await tally.counts()
            let current = try await stored.current()
            latest = try await runs.latest(limit: StatusSource.latestMax)
            // What this instance knows of its own runs is newer than what is stored.
            let known = Set((running + latest.filter(\.isFinished)).map(\.id))
            running = (running + current.running.filter { !known.contains($0.id) }).sorted { $0.id < $1.id }
            ended = StatusSource.lastOfEachScope(latest.filter(\.isFinished) + current.ended)
            lists = try await definitions.states()
            try await verification.refreshLast()
        } catch {
            counts = nil
            isMongoDBReachable = false
            logger.warning("Status without MongoDB", metadata: ["error": "\(error)"])
        }
        return StatusReport(
            at: .now, isHubSpotReachable: reachable, budget: budget, tasks: tasks, received: received, counts: counts,
            isMongoDBReachable: isMongoDBReachable, running: running, latest: latest, ended: ended, lists: lists, verified: await verification.last,
            verifying: await verification.checkedSoFar)
    }

    private static func lastOfEachScope(_ runs: [Run]) -> [Run] {
        var last: [String: Run] = [:]
        for run in runs.sorted(by: { ($0.finishedAt ?? $0.startedAt) < ($1.finishedAt ?? $1.startedAt) }) { last[run.scope.name] = run }
        return last.values.sorted { $0.scope.name < $1.scope.name }
    }
}

extension StatusReport {
    var json: [UInt8] {
        var json = JSONWriter(capacity: 2048)
        write(to: &json)
        return json.finish()
    }

    func write(to json: inout JSONWriter) {
        json.object { json in
            for type in RecordType.allCases {
                json.object(type.rawValue) { json in StatusReport.write(counts?.byType[type], to: &json) }
            }
            json.object("tasks") { json in
                json.member("queued", tasks.queued)
                json.member("inFlight", tasks.inFlight)
                json.member("retrying", tasks.retrying)
                json.member("failed", counts?.byType.values.reduce(0) { $0 + $1.error })
                json.member("oldestAgeMs", tasks.oldest.map { Int(max(0, (Timestamp.now - $0).milliseconds)) })
            }
            json.object("webhooks") { json in
                json.member("received", received.received)
                json.member("rejected", received.rejected)
                json.member("lastReceivedAt", received.lastReceivedAt)
                json.object("lagMs") { json in
                    json.member("p50", tasks.lagP50Ms.map { Int($0) })
                    json.member("p99", tasks.lagP99Ms.map { Int($0) })
                }
            }
            json.object("runs") { json in
                json.array("active") { json in for run in running { run.write(to: &json) } }
                json.object("last") { json in
                    for run in ended {
                        json.key(run.scope.name)
                        run.write(to: &json)
                    }
                }
            }
            json.object("definitions") { json in
                for set in DefinitionSet.all { json.object(set.description) { json in StatusReport.write(lists[set], to: &json) } }
            }
            json.key("verify")
            if let verified { verified.write(to: &json) } else { json.null() }
            json.member("verifying", verifying)
            json.object("hubspot") { json in
                json.member("reachable", isHubSpotReachable ?? false)
                json.object("rateLimit") { json in
                    json.member("limit", budget.limit.calls)
                    json.member("intervalMs", budget.limit.interval.milliseconds)
                    json.member("remaining", budget.remaining)
                    json.member("allotted", budget.allotted)
                    json.member("instances", budget.instances)
                    json.member("inFlight", budget.inFlight)
                    json.object("waiting") { json in
                        for callClass in CallClass.allCases { json.member(callClass.description, budget.waiting[callClass, default: 0]) }
                    }
                    json.member("pausedMs", budget.pausedFor?.milliseconds ?? 0)
                    json.member("pauseReason", budget.pauseReason?.rawValue)
                    json.member("searchLimit", budget.searchLimit.calls)
                    json.member("searchAllotted", budget.searchAllotted)
                    json.member("searchRemaining", budget.searchRemaining)
                    json.member("dailyLimit", budget.dailyLimit)
                    json.member("dailyRemaining", budget.dailyRemaining)
                    json.array("dailyHeld") { json in for callClass in budget.held { json.string(callClass.description) } }
                }
            }
            json.object("mongodb") { json in
                json.member("reachable", isMongoDBReachable)
            }
            json.member("countedAt", counts?.at)
        }
    }

    private static func write(_ state: DefinitionStore.State?, to json: inout JSONWriter) {
        json.member("total", state?.total)
        json.member("lastSyncedAt", state?.lastSyncedAt)
        json.member("error", state?.error)
    }

    private static func write(_ counts: MirrorCounts?, to json: inout JSONWriter) {
        json.member("total", counts?.total)
        json.member("synced", counts?.synced)
        json.member("pending", counts?.pending)
        json.member("error", counts?.error)
        json.member("archived", counts?.archived)
        json.member("lastSyncedAt", counts?.lastSyncedAt)
    }
}
