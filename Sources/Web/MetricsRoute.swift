import HTTPTypes
import HubSpot
import Hummingbird
import Metrics
import Model
import Rules
import Sync

/// What Prometheus reads. No login and no personal data: only counts and times.
struct MetricsRoute {
    let metrics: PrometheusMetrics
    let hubspot: HubSpotClient
    let pool: Pool
    let verification: Verification

    func add(to router: Router<AppContext>) {
        router.get("/metrics") { _, _ in
            note(await hubspot.budget)
            note(await pool.numbers)
            if let report = await verification.last { note(report) }
            return Response(
                status: .ok, headers: [.contentType: PrometheusMetrics.contentType, .cacheControl: "no-store"],
                body: ResponseBody(byteBuffer: ByteBuffer(string: metrics.text())))
        }
    }

    // What is a state rather than an event is looked at when it is asked for.

    private func note(_ budget: BudgetSnapshot) {
        set("hubspot_rate_limit", Double(budget.limit.calls))
        set("hubspot_rate_interval_seconds", budget.limit.interval.seconds)
        set("hubspot_rate_remaining", Double(budget.remaining))
        set("hubspot_rate_allotted", Double(budget.allotted))
        set("hubspot_search_rate_allotted", Double(budget.searchAllotted))
        set("hubspot_search_rate_remaining", Double(budget.searchRemaining))
        set("hubspot_paused_seconds", budget.pausedFor?.seconds ?? 0)
        set("hubspot_calls_in_flight", Double(budget.inFlight))
        for callClass in CallClass.allCases {
            set("hubspot_calls_waiting", [("class", callClass.description)], Double(budget.waiting[callClass, default: 0]))
            set("hubspot_daily_held", [("class", callClass.description)], budget.held.contains(callClass) ? 1 : 0)
        }
        // Unknown until HubSpot tells them; a zero would be an alarm.
        if let limit = budget.dailyLimit { set("hubspot_daily_limit", Double(limit)) }
        if let remaining = budget.dailyRemaining { set("hubspot_daily_remaining", Double(remaining)) }
    }

    private func note(_ tasks: Pool.Numbers) {
        set("tasks", [("state", "queued")], Double(tasks.queued))
        set("tasks", [("state", "in_flight")], Double(tasks.inFlight))
        set("tasks", [("state", "retrying")], Double(tasks.retrying))
        set("task_oldest_age_seconds", tasks.oldest.map { max(.zero, Timestamp.now - $0).seconds } ?? 0)
    }

    private func note(_ report: VerifyReport) {
        set("verify_age_seconds", max(.zero, Timestamp.now - report.finishedAt).seconds)
        for (type, counts) in report.byType {
            set("verify_checked", [("type", type.rawValue)], Double(counts.checked))
            set("verify_different", [("type", type.rawValue)], Double(counts.different))
            set("verify_in_flight", [("type", type.rawValue)], Double(counts.inFlight))
            set("verify_repaired", [("type", type.rawValue)], Double(counts.repaired))
        }
    }

    private func set(_ label: String, _ value: Double) { set(label, [], value) }

    private func set(_ label: String, _ dimensions: [(String, String)], _ value: Double) {
        Gauge(label: label, dimensions: dimensions, factory: metrics).record(value)
    }
}

extension Duration {
    fileprivate var seconds: Double { Double(components.seconds) + Double(components.attoseconds) / 1e18 }
}
