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
                    json.key(type.rawValue)
                    json.object { json in StatusRoutes.write(counts?[type], to: &json) }
                }
                json.key("tasks")
                json.object { json in
                    json.key("queued")
                    json.integer(tasks.queued)
                    json.key("inFlight")
                    json.integer(tasks.inFlight)
                    json.key("retrying")
                    json.integer(tasks.retrying)
                    json.key("failed")
                    json.integer(counts.map { $0.values.reduce(0) { $0 + $1.error } })
                    json.key("oldestAgeMs")
                    json.integer(tasks.oldest.map { Int(max(0, (Timestamp.now - $0).milliseconds)) })
                }
                json.key("webhooks")
                json.object { json in
                    json.key("received")
                    json.integer(received.received)
                    json.key("rejected")
                    json.integer(received.rejected)
                    json.key("lastReceivedAt")
                    json.timestamp(received.lastReceivedAt)
                    json.key("lagMs")
                    json.object { json in
                        json.key("p50")
                        json.integer(tasks.lagP50Ms.map { Int($0) })
                        json.key("p99")
                        json.integer(tasks.lagP99Ms.map { Int($0) })
                    }
                }
                json.key("runs")
                json.object { json in
                    json.key("active")
                    json.array { json in for run in running { run.write(to: &json) } }
                    json.key("last")
                    json.object { json in
                        var seen: Set<String> = []
                        for run in latest where run.isFinished && seen.insert(run.scope.name).inserted {
                            json.key(run.scope.name)
                            run.write(to: &json)
                        }
                    }
                }
                json.key("hubspot")
                json.object { json in
                    json.key("reachable")
                    json.bool(reachable)
                    json.key("rateLimit")
                    json.object { json in
                        json.key("limit")
                        json.integer(budget.limit.calls)
                        json.key("intervalMs")
                        json.integer(budget.limit.interval.milliseconds)
                        json.key("remaining")
                        json.integer(budget.remaining)
                        json.key("inFlight")
                        json.integer(budget.inFlight)
                        json.key("waiting")
                        json.object { json in
                            for callClass in CallClass.allCases {
                                json.key(callClass.description)
                                json.integer(budget.waiting[callClass, default: 0])
                            }
                        }
                        json.key("pausedMs")
                        json.integer(budget.pausedFor?.milliseconds ?? 0)
                        json.key("pauseReason")
                        json.string(budget.pauseReason?.rawValue)
                        json.key("searchLimit")
                        json.integer(budget.searchLimit.calls)
                        json.key("searchRemaining")
                        json.integer(budget.searchRemaining)
                        json.key("dailyLimit")
                        json.integer(budget.dailyLimit)
                        json.key("dailyRemaining")
                        json.integer(budget.dailyRemaining)
                    }
                }
                json.key("mongodb")
                json.object { json in
                    json.key("reachable")
                    json.bool(counts != nil)
                }
            } }
        }
    }

    private static func write(_ counts: MirrorCounts?, to json: inout JSONWriter) {
        json.key("total")
        json.integer(counts?.total)
        json.key("synced")
        json.integer(counts?.synced)
        json.key("pending")
        json.integer(counts?.pending)
        json.key("error")
        json.integer(counts?.error)
        json.key("archived")
        json.integer(counts?.archived)
        json.key("lastSyncedAt")
        json.timestamp(counts?.lastSyncedAt)
    }
}
