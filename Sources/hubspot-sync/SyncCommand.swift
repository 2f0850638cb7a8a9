import ArgumentParser
import Bytes
import Model

struct SyncCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sync", abstract: "Asks a running service for a sync and prints its result as JSON.",
        discussion: """
            Shows a progress bar on a terminal; a pipe stays quiet unless --follow is given. Interrupting it leaves the sync running. Exit code 1 \
            if the sync could not proceed.

            Examples:
              hubspot-sync sync all
              hubspot-sync sync deals --limit 1000
              hubspot-sync sync incremental --follow 2>> sync.log
            """)

    @Argument(help: "What to sync: all, contacts, companies, deals or incremental.")
    var scope = "all"

    @Option(help: "The most records to read of each type.")
    var limit: Int?

    @Flag(help: "Print the progress as plain lines where standard error is not a terminal.")
    var follow = false

    @OptionGroup var service: ServiceOptions

    func validate() throws {
        guard SyncScope(name: scope) != nil else { throw ValidationError("'\(scope)' cannot be synced: use all, contacts, companies, deals or incremental.") }
        guard limit.map({ $0 > 0 }) ?? true else { throw ValidationError("--limit must be a whole number above 0.") }
    }

    func run() async throws {
        let client = try service.client()
        let query = "?wait=false" + (limit.map { "&limit=\($0)" } ?? "")
        var run = try await client.call("POST", "/api/admin/hubspot/sync/\(scope)\(query)", as: RunAnswer.self)
        var bar = ProgressBar(printsLines: follow)
        while run.state == "running" {
            bar.show(
                "Syncing \(scope)", processed: run.processed, total: run.total,
                perSecond: run.ratePerSecond, remaining: run.etaMs.map { .milliseconds($0) })
            try await Task.sleep(for: .milliseconds(300))
            run = try await client.call("GET", "/api/admin/hubspot/sync/runs/\(run.id)", as: RunAnswer.self)
        }
        bar.show("\(run.state == "succeeded" ? "Synced" : "Stopped") \(scope)", processed: run.processed, total: run.total, perSecond: run.ratePerSecond, remaining: nil)
        bar.end()
        let (_, body) = try await client.send("GET", "/api/admin/hubspot/sync/runs/\(run.id)")
        print(String(decoding: try RunAnswer.result(in: body), as: UTF8.self))
        switch run.state {
        case "succeeded": break
        case "cancelled": throw Failure("The sync was cancelled.")
        default: throw Failure("The sync failed: \(run.result?.error ?? "no reason given")")
        }
    }
}

/// What the commands read of a run.
struct RunAnswer: Decodable {
    let id: String
    let state: String
    let processed: Int
    let total: Int?
    let ratePerSecond: Double
    let etaMs: Int64?
    /// nil while it goes on.
    let result: Result?

    struct Result: Decodable {
        /// Why it could not proceed.
        let error: String?
    }

    /// The `result` member of a run, as it stands.
    static func result(in body: [UInt8]) throws -> ArraySlice<UInt8> {
        var json = JSONReader(body)
        try json.enterObject()
        while let key = try json.nextKey() {
            let start = json.position
            try json.skip()
            if json.matches(key, "result") { return body[start..<json.position] }
        }
        throw Failure("The service's answer holds no result; is it a hubspot-sync of this version?")
    }
}

/// Which service to talk to.
struct ServiceOptions: ParsableArguments {
    @Option(help: "Address of the service. Default: HUBSPOT_SYNC_URL, else http://127.0.0.1:PORT.")
    var url: String?

    @Option(help: "The admin key. Default: ADMIN_API_KEY, which other users of the machine cannot see as they can see this.")
    var apiKey: String?

    @Option(help: "A file with variables, as for 'serve'.")
    var config: String?

    func client() throws -> AdminClient {
        let source = try SettingsSource(file: config)
        let port = try source.text("PORT") ?? "3002"
        let address = try url ?? source.text("HUBSPOT_SYNC_URL") ?? "http://127.0.0.1:\(port)"
        guard let key = try apiKey ?? source.secret("ADMIN_API_KEY") else {
            throw Failure("No admin key: set ADMIN_API_KEY (or ADMIN_API_KEY_FILE), or give --api-key.")
        }
        return AdminClient(url: address, apiKey: key)
    }
}
