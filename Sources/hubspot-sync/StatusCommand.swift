import ArgumentParser
import Glibc

struct StatusCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status", abstract: "Shows what a running service has mirrored and what it is doing.",
        discussion: """
            Examples:
              hubspot-sync status --watch
              hubspot-sync status --json | jq .tasks
            """)

    @Flag(help: "Print the status as JSON.")
    var json = false

    @Flag(help: "Show it anew every two seconds until Ctrl-C: in place on a terminal, one after the other in a pipe.")
    var watch = false

    @OptionGroup var service: ServiceOptions

    private static let watchEvery: Duration = .seconds(2)

    func run() async throws {
        let client = try service.client()
        var display = Display(redraws: watch && !json)
        display.show(try await text(client))
        while watch {
            try await Task.sleep(for: StatusCommand.watchEvery)
            do {
                display.show(try await text(client))
            } catch let failure as Failure {
                // It may be restarting.
                display.show(json ? nil : failure.description)
            }
        }
    }

    private func text(_ client: AdminClient) async throws -> String {
        guard json else { return try await client.call("GET", "/api/admin/hubspot/sync/status", as: StatusAnswer.self).table }
        let (status, body) = try await client.send("GET", "/api/admin/hubspot/sync/status")
        guard status == 200 else { throw Failure("The service answered \(status): check the admin key.") }
        return String(decoding: body, as: UTF8.self)
    }

    /// Draws over what it drew before, where there is a terminal.
    private struct Display {
        let redraws: Bool
        private var linesDrawn = 0

        init(redraws: Bool) { self.redraws = redraws && isatty(STDOUT_FILENO) == 1 }

        mutating func show(_ text: String?) {
            guard let text else { return }
            guard redraws else { return FileHandleOutput.standardOutput.write(text + "\n") }
            // A line that wraps would be two to go up.
            let width = Display.width
            let lines = text.split(separator: "\n", omittingEmptySubsequences: false).map { $0.prefix(width) }
            let up = linesDrawn > 0 ? "\u{1B}[\(linesDrawn)A" : ""
            // Line by line, so that nothing flickers; then what is left of the frame before.
            FileHandleOutput.standardOutput.write(up + lines.map { "\r\($0)\u{1B}[K\n" }.joined() + "\u{1B}[J")
            linesDrawn = lines.count
        }

        /// Columns of the terminal.
        private static var width: Int {
            var size = winsize()
            guard ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return 200 }
            return Int(size.ws_col)
        }
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
    /// Records that a comparison under way has looked at.
    let verifying: Int?

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
        if let verifying { lines.append("verify     \(verifying.grouped) records compared so far") }
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
