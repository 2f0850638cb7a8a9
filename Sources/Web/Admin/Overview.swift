import Bytes
import HubSpot
import Logging
import Model
import NIOConcurrencyHelpers
import Rules
import Store
import Sync

/// All that the overview page shows at one moment.
struct Overview: Sendable {
    let report: StatusReport
    let deliveries: [Delivery]
    let failures: [(key: RecordKey, name: String, message: String)]
    let history: FlowHistory
    let drift: DriftCheck?
}

/// Gathers the overview, and remembers the last hour for its charts. Every query of it reads what is shown and no more.
struct OverviewSource: Sendable {
    static let deliveriesMax = 8
    /// Of each type.
    static let failuresMax = 4
    /// A sync that has ended stays among the running ones for this long, so that its end is seen.
    private static let farewell: Duration = .seconds(8)
    private static let finishedMax = 6

    let status: StatusSource
    let inbox: Inbox
    let mirror: MirrorReader
    let templates: Templates
    private let history = NIOLockedValueBox(FlowHistory())

    init(status: StatusSource, inbox: Inbox, mirror: MirrorReader, templates: Templates) {
        self.status = status
        self.inbox = inbox
        self.mirror = mirror
        self.templates = templates
    }

    /// To be called about once a second.
    func noteFlow() async {
        let tasks = await status.pool.numbers
        let received = status.webhooks.numbers
        history.withLockedValue {
            $0.note(
                backlog: tasks.queued + tasks.inFlight + tasks.retrying, events: received.received, rejected: received.rejected, at: .now)
        }
    }

    func now(_ logger: Logger) async -> Overview {
        let report = await status.report(logger, isHurried: true)
        var deliveries: [Delivery] = []
        var failures: [(key: RecordKey, name: String, message: String)] = []
        if report.isMongoDBReachable {
            do {
                var query = Inbox.Query()
                query.limit = OverviewSource.deliveriesMax
                deliveries = try await inbox.deliveries(query)
                for type in RecordType.allCases {
                    failures += try await mirror.failures(type, limit: OverviewSource.failuresMax).map { document in
                        (RecordKey(type, document["_id"]?.string ?? ""), type.name(of: document), document["syncError"]?.string ?? "It did not say why")
                    }
                }
            } catch {
                logger.warning("Overview without MongoDB", metadata: ["error": "\(error)"])
            }
        }
        return Overview(
            report: report, deliveries: deliveries, failures: failures, history: history.withLockedValue { $0 },
            drift: DriftCheck(status: report.json))
    }

    // MARK: What watchers get

    func events(_ kind: StatusFeed.Kind, _ overview: Overview) -> [ServerEvent] {
        switch kind {
        case .status: [ServerEvent(topic: "status", name: "status", data: String(decoding: overview.report.json, as: UTF8.self))]
        case .page:
            OverviewSource.sections(overview).map { ServerEvent(topic: $0.name, name: "section", data: templates.render($0.name, $0.values)) }
        }
    }

    /// The whole page.
    func page(_ overview: Overview, note: String?) -> String {
        var values: [String: Any] = ["title": "Overview", "isOverview": true, "at": overview.report.at.words, "limitMax": SyncScope.limitMax]
        values["note"] = note
        for section in OverviewSource.sections(overview) { values.merge(section.values) { first, _ in first } }
        return templates.render("overview", values)
    }

    // MARK: Sections, each with what its template names

    private static func sections(_ overview: Overview) -> [(name: String, values: [String: Any])] {
        [
            ("state", state(overview)), ("mirror", mirror(overview.report)), ("runs", runs(overview.report)), ("flow", flow(overview)),
            ("budget", budget(overview.report.budget)), ("deliveries", deliveries(overview)), ("failures", failures(overview)),
        ]
    }

    private static func state(_ overview: Overview) -> [String: Any] {
        let report = overview.report
        let troubles = Trouble.all(of: report, rejected: overview.history.rejected, drift: overview.drift)
        let total = report.counts?.byType.values.reduce(0) { $0 + $1.total }
        let headline =
            switch troubles.first?.level {
            case .bad: "Something needs you"
            case .warn: "Working, with something to know"
            case nil: "All is well" + (total.map { ": \($0.of("record", "records")) mirrored" } ?? "")
            }
        var values: [String: Any] = [
            "level": troubles.first?.level.rawValue ?? "good", "headline": headline, "keys": troubles.map(\.key).joined(separator: " "),
            "troubles": troubles.map { trouble in
                var values: [String: Any] = [
                    "key": trouble.key, "level": trouble.level.rawValue, "word": trouble.level == .bad ? "Problem" : "Notice",
                    "title": trouble.title, "advice": trouble.advice,
                ]
                if let link = trouble.link { values["link"] = ["href": link.href, "text": link.text] }
                return values
            },
            "hubspot": reach(report.isHubSpotReachable), "mongodb": reach(report.isMongoDBReachable),
        ]
        if let drift = overview.drift {
            values["verify"] = [
                "level": drift.differing == 0 ? "good" : "warn", "at": drift.at.words, "checked": drift.checked.grouped,
                "differing": drift.differing.grouped,
            ]
        }
        // Where counting is quick it is always of now.
        if let counts = report.counts, report.at - counts.at > .seconds(2) { values["countedAt"] = counts.at.words }
        return values
    }

    private static func reach(_ isReachable: Bool?) -> [String: Any] {
        switch isReachable {
        case true?: ["level": "good", "text": "reachable"]
        case false?: ["level": "bad", "text": "not reachable"]
        case nil: ["level": "unknown", "text": "not asked yet"]
        }
    }

    private static func mirror(_ report: StatusReport) -> [String: Any] {
        let types = RecordType.allCases.map { type -> [String: Any] in
            let counts = report.counts?.byType[type]
            func cell(_ label: String, _ number: Int?, _ query: String, level: String = "") -> [String: Any] {
                var cell: [String: Any] = [
                    "label": label, "number": number?.grouped ?? "…", "what": "\(label.lowercased()) \(type.rawValue)",
                    "level": number ?? 0 > 0 ? level : "",
                ]
                if number ?? 0 > 0 { cell["href"] = "/admin/records?type=\(type.rawValue)\(query)" }
                return cell
            }
            var values: [String: Any] = [
                "type": type.rawValue,
                "cells": [
                    cell("Total", counts?.total, ""), cell("Synced", counts?.synced, "&status=synced"),
                    cell("Pending", counts?.pending, "&status=pending", level: "warn"),
                    cell("Error", counts?.error, "&status=error", level: "bad"), cell("Archived", counts?.archived, "&status=archived"),
                ],
                "none": counts == nil ? "…" : "never",
            ]
            if let last = counts?.lastSyncedAt { values["last"] = last.words }
            return values
        }
        return ["types": types]
    }

    private static func runs(_ report: StatusReport) -> [String: Any] {
        let own = Set(report.running.map(\.id))
        let others = report.latest.filter { run in
            !own.contains(run.id) && (run.finishedAt.map { report.at - $0 < farewell } ?? true)
        }
        let finished = report.latest.filter(\.isFinished).prefix(finishedMax)
        return [
            "running": (report.running + others).sorted { $0.id > $1.id }.map(running),
            "hasFinished": !finished.isEmpty,
            "finished": finished.map { run -> [String: Any] in
                let sum = run.sum
                var values: [String: Any] = [
                    "id": "ended-\(run.id)", "at": (run.finishedAt ?? run.startedAt).words, "what": run.scope.title, "state": run.state.rawValue,
                    "level": level(run), "processed": sum.processed.grouped, "errors": sum.errors.grouped,
                ]
                if run.state == .failed { values["reason"] = run.errorMessages.first ?? run.failureCode?.sentence ?? "" }
                return values
            },
        ]
    }

    private static func running(_ run: Run) -> [String: Any] {
        let pace = run.pace
        func progress(_ progress: TypeProgress) -> String {
            progress.total.map { "\(progress.processed.grouped) of \($0.grouped)" } ?? progress.processed.grouped
        }
        var values: [String: Any] = [
            "id": run.id, "what": run.scope.title, "state": run.state.rawValue, "level": level(run), "progress": progress(run.sum),
            // At whatever instance: it hears of it by MongoDB.
            "isCancellable": !run.isFinished,
        ]
        // How far it came; one that succeeded has come to its end, whatever was counted at its start.
        if let fraction = run.state == .succeeded ? 1 : pace.fraction ?? (run.isFinished ? 0 : nil) {
            values["percent"] = ["value": "\(Int(fraction * 1000) / 10).\(Int(fraction * 1000) % 10)"]
        }
        if run.isFinished {
            values["pace"] = "\(run.state.rawValue) after \(Duration.milliseconds(run.durationMs).words)"
        } else {
            let rate = "\(Int(pace.perSecond.rounded()).grouped) records/s"
            values["pace"] = rate + (pace.remaining.map { $0 > .zero ? ", \($0.words) left" : "" } ?? "")
        }
        if run.scope.types.count > 1 {
            values["parts"] = run.byType.sorted { $0.key < $1.key }.map { ["name": $0.key.rawValue, "progress": progress($0.value)] }
        }
        return values
    }

    private static func level(_ run: Run) -> String {
        switch run.state {
        case .running: "running"
        case .succeeded: run.sum.errors == 0 ? "good" : "warn"
        case .cancelled: "warn"
        case .failed: "bad"
        }
    }

    private static func flow(_ overview: Overview) -> [String: Any] {
        let report = overview.report
        // Only what has ended is drawn anew each half minute; the last step grows.
        let backlog = overview.history.values(\.backlog, at: report.at), events = overview.history.values(\.events, at: report.at)
        let unknown = overview.history.unknown(at: report.at)
        let backlogChart = BarChart(backlog, unknown: unknown), eventChart = BarChart(events, unknown: unknown)
        let span = unknown > 0 ? "since this instance started" : "during the last hour"
        let waiting = report.tasks.queued + report.tasks.inFlight + report.tasks.retrying
        var values: [String: Any] = [
            "waiting": waiting.grouped, "queued": report.tasks.queued.grouped, "inFlight": report.tasks.inFlight.grouped,
            "retrying": report.tasks.retrying.grouped, "received": report.received.received.grouped,
            "rejected": report.received.rejected.grouped, "span": "1 h ago", "unknown": eventChart.unknown,
            "backlog": [
                "path": backlogChart.path, "max": backlogChart.max.grouped,
                "summary": "Changes waiting \(span): \(waiting.grouped) now, \(backlogChart.max.grouped) at most",
            ],
            "events": [
                "path": eventChart.path, "max": eventChart.max.grouped,
                "summary":
                    "Webhook events \(span): \(events.reduce(0, +).grouped) in all, \(eventChart.max.grouped) in the busiest half minute",
            ],
        ]
        if unknown > 0, let startedAt = overview.history.startedAt { values["startedAt"] = startedAt.words }
        if let oldest = report.tasks.oldest { values["oldest"] = (report.at - oldest).words }
        if let p50 = report.tasks.lagP50Ms, let p99 = report.tasks.lagP99Ms {
            values["lag"] = "\(Duration.milliseconds(p50).words) (99 %: \(Duration.milliseconds(p99).words))"
        }
        return values
    }

    private static func budget(_ budget: BudgetSnapshot) -> [String: Any] {
        func gauge(_ name: String, _ remaining: Int, _ limit: Int, _ span: String) -> [String: Any] {
            let percent = limit > 0 ? min(100, max(0, remaining * 100 / limit)) : 0
            return [
                "name": name, "text": "\(remaining.grouped) of \(limit.grouped) calls left \(span)", "percent": percent,
                "level": percent < 5 ? "bad" : percent < 20 ? "warn" : "good",
            ]
        }
        var gauges = [
            gauge("Calls", budget.remaining, budget.limit.calls, "in \(budget.limit.interval.words)"),
            gauge("Searches", budget.searchRemaining, budget.searchLimit.calls, "in \(budget.searchLimit.interval.words)"),
        ]
        if let limit = budget.dailyLimit, let remaining = budget.dailyRemaining { gauges.append(gauge("Today", remaining, limit, "today")) }
        let waiting = CallClass.allCases.compactMap { callClass -> String? in
            let count = budget.waiting[callClass, default: 0]
            return count > 0 ? "\(count.grouped) \(callClass)" : nil
        }
        return [
            "gauges": gauges,
            "queue": "\(budget.inFlight.of("call", "calls")) under way; "
                + (waiting.isEmpty ? "none waits" : "waiting: " + waiting.joined(separator: ", ")) + ".",
        ]
    }

    private static func deliveries(_ overview: Overview) -> [String: Any] {
        ["hasDeliveries": !overview.deliveries.isEmpty, "deliveries": overview.deliveries.map { $0.words() }]
    }

    private static func failures(_ overview: Overview) -> [String: Any] {
        let counts = overview.report.counts?.byType ?? [:]
        let count = counts.values.reduce(0) { $0 + $1.error }
        return [
            "hasFailures": !overview.failures.isEmpty,
            // What is listed is newer than what was counted.
            "failedCount": max(count, overview.failures.count).grouped,
            "failures": overview.failures.map { failure in
                [
                    "key": failure.key.description, "href": failure.key.path, "name": failure.name, "singular": failure.key.type.singular,
                    "message": failure.message,
                ]
            },
            "failureLinks": RecordType.allCases.compactMap { type -> [String: Any]? in
                guard let error = counts[type]?.error, error > failuresMax else { return nil }
                return ["href": "/admin/records?type=\(type.rawValue)&status=error", "text": "All \(error.grouped) failed \(type.rawValue)"]
            },
        ]
    }
}

extension Delivery {
    /// What `delivery.mustache` names.
    ///
    /// - Parameters:
    ///   - record: whose events come first.
    ///   - back: the page to come back to after a replay; nil offers none.
    func words(about record: RecordKey? = nil, back: String? = nil) -> [String: Any] {
        let shown = 3
        // Many events of one kind about one record are one thing to a reader.
        var kinds: [(name: String, key: RecordKey?, count: Int)] = []
        for event in events {
            let key = event.type.flatMap { type in event.objectId.map { RecordKey(type, $0) } } ?? event.from
            let name = event.subscriptionType + (event.propertyName.map { " \($0)" } ?? "")
            if let index = kinds.firstIndex(where: { $0.name == name && $0.key == key }) {
                kinds[index].count += 1
            } else {
                kinds.append((name, key, 1))
            }
        }
        if let record { kinds = kinds.filter { $0.key == record } + kinds.filter { $0.key != record } }
        var values: [String: Any] = [
            "id": id, "at": receivedAt.words, "state": state.rawValue,
            "level": state == .done ? "good" : state == .failed ? "bad" : "warn",
            "events": kinds.prefix(shown).map { kind in
                var values: [String: Any] = ["name": kind.name + (kind.count > 1 ? " ×\(kind.count)" : "")]
                if let key = kind.key { values["link"] = ["href": key.path, "text": key.id] }
                return values
            },
            "failed": failed.prefix(shown).map { ["href": $0.path, "text": "\($0.type.singular) \($0.id)"] },
        ]
        if kinds.count > shown { values["more"] = (kinds.count - shown).grouped }
        if let finishedAt { values["took"] = (finishedAt - receivedAt).words }
        if let back {
            values["canReplay"] = true
            values["back"] = back
        }
        return values
    }
}
