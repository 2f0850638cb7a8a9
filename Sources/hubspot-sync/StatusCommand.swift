import ArgumentParser
import Glibc

struct StatusCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status", abstract: "Shows what a running service has mirrored and what it is doing.")

    @Flag(help: "Print the status as JSON.")
    var json = false

    @Flag(help: "Show it anew every two seconds until Ctrl-C.")
    var watch = false

    @OptionGroup var service: ServiceOptions

    func run() async throws {
        let client = try await service.client()
        repeat {
            let text: String
            if json {
                let (status, body) = try await client.send("GET", "/api/admin/hubspot/sync/status")
                guard status == 200 else { throw Failure("The service answered \(status): check the admin key.") }
                text = String(decoding: body, as: UTF8.self)
            } else {
                text = try await client.call("GET", "/api/admin/hubspot/sync/status", as: StatusAnswer.self).table
            }
            let clear = watch && !json && isatty(STDOUT_FILENO) == 1 ? "\u{1B}[H\u{1B}[2J" : ""
            FileHandleOutput.standardOutput.write(clear + text + "\n")
            if watch { try await Task.sleep(for: .seconds(2)) }
        } while watch
    }
}

/// What the command reads of the status.
struct StatusAnswer: Decodable {
    struct Counts: Decodable {
        let total, synced, pending, error, archived: Int?
        let lastSyncedAt: String?
    }
    struct Tasks: Decodable { let queued, inFlight, retrying, failed: Int? }
    struct Runs: Decodable { let active: [RunAnswer] }
    struct Reachable: Decodable { let reachable: Bool }
    struct HubSpot: Decodable {
        struct Limit: Decodable { let limit, intervalMs, remaining: Int }
        let reachable: Bool
        let rateLimit: Limit
    }

    let contacts, companies, deals: Counts
    let tasks: Tasks
    let runs: Runs
    let hubspot: HubSpot
    let mongodb: Reachable

    var table: String {
        var lines = [StatusAnswer.row("", ["total", "synced", "pending", "error", "archived"], "last synced")]
        for (name, counts) in [("contacts", contacts), ("companies", companies), ("deals", deals)] {
            let numbers = [counts.total, counts.synced, counts.pending, counts.error, counts.archived].map { $0?.grouped ?? "?" }
            lines.append(StatusAnswer.row(name, numbers, counts.lastSyncedAt ?? "never"))
        }
        lines.append("")
        lines.append(
            "tasks      \(tasks.queued ?? 0) queued, \(tasks.inFlight ?? 0) in flight, \(tasks.retrying ?? 0) retrying, \(tasks.failed ?? 0) failed")
        for run in runs.active {
            let total = run.total.map { " of \($0.grouped)" } ?? ""
            lines.append("run        \(run.id): \(run.processed.grouped)\(total), \(Int(run.ratePerSecond).grouped)/s")
        }
        let limit = hubspot.rateLimit
        lines.append(
            "hubspot    \(hubspot.reachable ? "reachable" : "NOT REACHABLE"), \(limit.remaining) of \(limit.limit) calls left in \(limit.intervalMs / 1000) s")
        lines.append("mongodb    \(mongodb.reachable ? "reachable" : "NOT REACHABLE")")
        return lines.joined(separator: "\n")
    }

    private static func row(_ name: String, _ numbers: [String], _ last: String) -> String {
        func right(_ text: String, _ width: Int) -> String { String(repeating: " ", count: max(0, width - text.count)) + text }
        return name + String(repeating: " ", count: 11 - name.count) + numbers.map { right($0, 11) }.joined() + "  " + last
    }
}
