import HubSpot
import Model
import Rules
import Store
import Sync

/// Something that an operator should know of, and what to do about it. Decided from the state alone.
struct Trouble: Sendable, Equatable {
    enum Level: String, Sendable, Comparable {
        case warn, bad

        static func < (a: Self, b: Self) -> Bool { a == .warn && b == .bad }
    }

    /// The same while the trouble lasts, whatever its numbers.
    let key: String
    let level: Level
    let title: String
    let advice: String
    var link: (href: String, text: String)?

    static func == (a: Self, b: Self) -> Bool { a.key == b.key && a.level == b.level && a.title == b.title && a.advice == b.advice }

    /// A change that waits longer than this is late.
    static let lateAfter: Duration = .seconds(60)

    /// The worst first.
    ///
    /// - Parameters:
    ///   - rejected: webhook requests refused in the last hour.
    ///   - drift: what the last comparison with HubSpot found; nil when there was none.
    static func all(of report: StatusReport, rejected: Int, drift: DriftCheck?) -> [Trouble] {
        var troubles: [Trouble] = []
        if !report.isMongoDBReachable {
            troubles.append(
                Trouble(
                    key: "mongodb", level: .bad, title: "MongoDB cannot be reached.",
                    advice: "Reads are answered by HubSpot meanwhile, and webhooks are refused, so that HubSpot sends them again for a day. Look after the server that MONGODB_URI names."))
        }
        if report.isHubSpotReachable == false {
            troubles.append(
                Trouble(
                    key: "hubspot", level: .bad, title: "HubSpot gives no usable answer.",
                    advice: "Changes wait and are worked on when it answers again; nothing is lost. Look at the access token, the network and status.hubspot.com."))
        }
        for run in failedRuns(report) {
            troubles.append(
                Trouble(
                    key: "run-\(run.scope.name)", level: .bad, title: "The last sync of \(run.scope.title) failed.",
                    advice: sentence(run.errorMessages.first ?? run.failureCode?.sentence ?? "It did not say why"),
                    link: ("#runs", "Latest syncs")))
        }
        let failed = report.counts?.byType.values.reduce(0) { $0 + $1.error } ?? 0
        if failed > 0 {
            troubles.append(
                Trouble(
                    key: "failed", level: .bad, title: "\(failed.of("record", "records")) failed.",
                    advice: "Why is said below; the mirror keeps the last good state. Mend the cause, then retry.",
                    link: ("#failures", "Failed records")))
        }
        if let pause = report.budget.pausedFor {
            let reason =
                switch report.budget.pauseReason {
                case .daily: "The day's quota is used up. It begins anew at midnight of the account's time zone."
                case .migrating: "HubSpot moves the account between data centres."
                case .limited, nil: "HubSpot said that its limit is reached, perhaps by other apps of the account. It goes on by itself."
                }
            troubles.append(Trouble(key: "paused", level: .warn, title: "No calls to HubSpot for \(pause.words).", advice: reason))
        } else if let limit = report.budget.dailyLimit, let remaining = report.budget.dailyRemaining, remaining * 10 < limit {
            troubles.append(
                Trouble(
                    key: "daily", level: .warn, title: "\(remaining.grouped) of the day's \(limit.grouped) calls to HubSpot are left.",
                    advice: "When they are used up, changes wait until midnight of the account's time zone."))
        }
        if let oldest = report.tasks.oldest, report.at - oldest > lateAfter {
            troubles.append(
                Trouble(
                    key: "late", level: .warn, title: "A change has waited for \((report.at - oldest).words).",
                    advice: "\(report.tasks.queued.grouped) wait and \(report.tasks.retrying.grouped) are tried again. They go as fast as HubSpot answers.",
                    link: ("#flow", "Work and webhooks")))
        }
        if rejected > 0 {
            troubles.append(
                Trouble(
                    key: "rejected", level: .warn,
                    title: "\(rejected.of("webhook request was", "webhook requests were")) refused in the last hour.",
                    advice: "If they were HubSpot's, HUBSPOT_CLIENT_SECRET or HUBSPOT_WEBHOOK_URL is not what HubSpot signs with; the scheduled syncs bring the changes meanwhile."))
        }
        if let drift, drift.differing > 0 {
            troubles.append(
                Trouble(
                    key: "drift", level: .warn, title: "The last drift check found \(drift.differing.of("record", "records")) that differed.",
                    advice: "They were out of \(drift.checked.grouped) that were compared with HubSpot."))
        }
        if report.isMongoDBReachable, report.latest.isEmpty, report.running.isEmpty,
            let counts = report.counts, counts.byType.values.allSatisfy({ $0.total == 0 })
        {
            troubles.append(
                Trouble(
                    key: "empty", level: .warn, title: "The mirror is empty.", advice: "Start a sync of everything.",
                    link: ("#start-title", "Start a sync")))
        }
        return troubles.filter { $0.level == .bad } + troubles.filter { $0.level == .warn }
    }

    /// The latest run of each scope, where it failed and no later one made up for it.
    private static func failedRuns(_ report: StatusReport) -> [Run] {
        var covered: Set<RecordType> = []
        var coveredChanges: Set<RecordType> = []
        var seen: Set<String> = []
        var failed: [Run] = []
        for run in report.latest where run.isFinished {
            let isFirst = seen.insert(run.scope.name).inserted
            if run.state == .failed, isFirst {
                let made = run.scope.kind == .full ? covered : covered.union(coveredChanges)
                if !made.isSuperset(of: run.scope.types) { failed.append(run) }
            }
            guard run.state == .succeeded else { continue }
            if run.scope.kind == .full, run.scope.limit == nil { covered.formUnion(run.scope.types) }
            if run.scope.kind == .incremental { coveredChanges.formUnion(run.scope.types) }
        }
        return failed
    }

    private static func sentence(_ text: String) -> String { text.hasSuffix(".") ? text : text + "." }
}
