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
    let mirror: MirrorReader
    let runs: Runs
    let hubspot: HubSpotHealth
    let pool: Pool
    let webhooks: WebhookCounters

    /// - Parameter group: `/api/admin/hubspot/sync`
    func add(to group: RouterGroup<AppContext>) {
        group.get("status") { _, context in
            let reachable = await hubspot.isReachable()
            let budget = await hubspot.budget()
            let running = await runs.running
            let tasks = await pool.numbers
            let received = webhooks.numbers
            var counts: [RecordType: MirrorCounts]?
            var latest: [Run] = []
            do {
                counts = try await mirror.counts()
                latest = try await runs.latest(limit: 50)
            } catch {
                context.logger.warning("Status without MongoDB", metadata: ["error": "\(error)"])
            }
            return Response.json { $0.object { json in
                for type in RecordType.allCases {
                    json.object(type.rawValue) { json in StatusRoutes.write(counts?[type], to: &json) }
                }
                json.object("tasks") { json in
                    json.member("queued", tasks.queued)
                    json.member("inFlight", tasks.inFlight)
                    json.member("retrying", tasks.retrying)
                    json.member("failed", counts.map { $0.values.reduce(0) { $0 + $1.error } })
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
                        var seen: Set<String> = []
                        for run in latest where run.isFinished && seen.insert(run.scope.name).inserted {
                            json.key(run.scope.name)
                            run.write(to: &json)
                        }
                    }
                }
                json.object("hubspot") { json in
                    json.member("reachable", reachable)
                    json.object("rateLimit") { json in
                        json.member("limit", budget.limit.calls)
                        json.member("intervalMs", budget.limit.interval.milliseconds)
                        json.member("remaining", budget.remaining)
                        json.member("inFlight", budget.inFlight)
                        json.object("waiting") { json in
                            for callClass in CallClass.allCases { json.member(callClass.description, budget.waiting[callClass, default: 0]) }
                        }
                        json.member("pausedMs", budget.pausedFor?.milliseconds ?? 0)
                        json.member("pauseReason", budget.pauseReason?.rawValue)
                        json.member("searchLimit", budget.searchLimit.calls)
                        json.member("searchRemaining", budget.searchRemaining)
                        json.member("dailyLimit", budget.dailyLimit)
                        json.member("dailyRemaining", budget.dailyRemaining)
                    }
                }
                json.object("mongodb") { json in
                    json.member("reachable", counts != nil)
                }
            } }
        }
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
