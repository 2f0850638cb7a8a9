import Curl
import Foundation
import Model
import Simulator
import Store
import Sync
import TestSupport
import Testing

@testable import Web

@Suite(.scratchDatabase, .timeLimit(.minutes(2))) struct SyncRoutesTests {
    static let sync = "/api/admin/hubspot/sync"

    @Test(arguments: ["GET", "POST"]) func aSyncAnswersWithItsResult(method: String) async throws {
        try await Site.use { site in
            let first = try await site.send(method, "\(Self.sync)/contacts?limit=30")
            #expect(first.status == 200)
            #expect(first.json["success"] as? Bool == true && first.json["synced"] as? Int == 30 && first.json["updated"] as? Int == 0)
            #expect(first.json["errors"] as? Int == 0 && (first.json["errorMessages"] as? [Any])?.isEmpty == true)
            let second = try await site.send(method, "\(Self.sync)/all")
            #expect(second.json["synced"] as? Int == 320 && second.json["updated"] as? Int == 30 && second.json["unchanged"] as? Int == 30)
            let byType = try #require(second.json["byType"] as? [String: [String: Int]])
            #expect(byType["contacts"]?["synced"] == 220 && byType["companies"]?["synced"] == 40 && byType["deals"]?["synced"] == 60)
            let run = try await site.send("GET", try #require(second.headers["Content-Location"]))
            #expect(run.json["id"] as? String == second.json["runId"] as? String && run.json["state"] as? String == "succeeded")
            #expect((run.json["result"] as? [String: Any])?["synced"] as? Int == 320)
        }
    }

    @Test(arguments: [("?wait=false", nil), ("", "respond-async"), ("", "handling=lenient, respond-async"), ("?wait=0", "respond-async")])
    func whoDoesNotWaitIsToldWhereToLook(query: String, prefer: String?) async throws {
        try await Site.use(account: { $0.latency = .milliseconds(20) }) { site in
            let reply = try await site.send("POST", "\(Self.sync)/all\(query)", prefer.map { [("Prefer", $0)] } ?? [])
            #expect(reply.status == 202 && reply.json["state"] as? String == "running")
            #expect(reply.headers["Preference-Applied"] == (prefer == nil ? nil : "respond-async"))
            let id = try #require(reply.json["id"] as? String)
            #expect(reply.headers["Location"] == "\(Self.sync)/runs/\(id)")
            let joined = try await site.send("GET", "\(Self.sync)/all?wait=true", [("Prefer", "respond-async")])
            #expect(joined.status == 200 && joined.json["runId"] as? String == id && joined.json["synced"] as? Int == 350)
        }
    }

    @Test func theSameSyncIsJoined() async throws {
        try await Site.use(account: { $0.latency = .milliseconds(30) }) { site in
            let ids = try await withThrowingTaskGroup(of: String?.self) { group in
                for method in ["GET", "POST", "POST", "GET"] {
                    group.addTask { try await site.send(method, "\(Self.sync)/contacts").json["runId"] as? String }
                }
                return try await group.reduce(into: Set<String?>()) { $0.insert($1) }
            }
            #expect(ids.count == 1)
            let runs = try await site.send("GET", "\(Self.sync)/runs").json["runs"] as? [[String: Any]]
            #expect(runs?.count == 1 && runs?.first?["id"] as? String == ids.first ?? nil)
        }
    }

    @Test func aRunIsCancelled() async throws {
        try await Site.use(account: {
            $0.contacts = 3000
            $0.latency = .milliseconds(50)
        }) { site in
            async let waiting = site.send("POST", "\(Self.sync)/contacts")
            try await eventually { await site.bench.runs.running.count == 1 }
            let id = try #require(try await site.send("POST", "\(Self.sync)/contacts?wait=false").json["id"] as? String)
            let reply = try await site.send("DELETE", "\(Self.sync)/runs/\(id)")
            // 200 if it has ended by the time of the answer.
            #expect(reply.status == (reply.json["state"] as? String == "running" ? 202 : 200))
            let result = try await waiting
            #expect(result.status == 409 && result.json["success"] as? Bool == false && result.code == "cancelled")
            let again = try await site.send("DELETE", "\(Self.sync)/runs/\(id)")
            #expect(again.status == 200 && again.json["state"] as? String == "cancelled")
        }
    }

    @Test func eventsTellTheProgressAndEndWithDone() async throws {
        try await Site.use(account: { $0.latency = .milliseconds(20) }) { site in
            let id = try #require(try await site.send("POST", "\(Self.sync)/all?wait=false").json["id"] as? String)
            let reply = try await site.send("GET", "\(Self.sync)/runs/\(id)/events")
            #expect(reply.headers["Content-Type"] == "text/event-stream" && reply.headers["Cache-Control"] == "no-store")
            let events = reply.text.components(separatedBy: "\n\n").filter { !$0.isEmpty && !$0.hasPrefix(":") }
            #expect(events.count > 2)
            var processed: [Int] = []
            for (index, event) in events.enumerated() {
                let lines = event.components(separatedBy: "\n")
                #expect(lines.count == 2 && lines[0] == "event: \(index == events.count - 1 ? "done" : "progress")")
                #expect(lines[1].hasPrefix("data: "))
                let run = try #require(try JSONSerialization.jsonObject(with: Data(lines[1].dropFirst(6).utf8)) as? [String: Any])
                let schema = try #require(site.description.resolve("#/components/schemas/Run"))
                #expect(site.description.problems(of: run, schema, "") == [])
                processed.append(run["processed"] as? Int ?? -1)
            }
            #expect(processed == processed.sorted() && processed.last == 350)
            let after = try await site.send("GET", "\(Self.sync)/runs/\(id)/events")
            #expect(after.text.hasPrefix("event: done\n") && after.text.hasSuffix("\n\n"))
        }
    }

    @Test func aClientThatHangsUpDoesNotStopTheRun() async throws {
        try await Site.use(account: { $0.latency = .milliseconds(30) }) { site in
            let id = try #require(try await site.send("POST", "\(Self.sync)/all?wait=false").json["id"] as? String)
            for target in ["\(Self.sync)/all", "\(Self.sync)/runs/\(id)/events"] {
                let client = Task { try await site.send("GET", target) }
                try await eventually { try await site.bench.runs.run(id).map { $0.sum.processed > 0 } ?? false }
                client.cancel()
                _ = await client.result
            }
            #expect(try await site.bench.runs.finished(id)?.sum.synced == 350)
        }
    }

    /// A request that waits for a run would otherwise hold up the stop until the run ends by itself.
    @Test func theServiceStopsWhileClientsWait() async throws {
        let answers = Answers()
        try await Site.use(account: {
            $0.contacts = 100_000
            $0.latency = .milliseconds(100)
        }) { site in
            let id = try #require(try await site.send("POST", "\(Self.sync)/contacts?wait=false").json["id"] as? String)
            for target in ["\(Self.sync)/contacts", "\(Self.sync)/runs/\(id)/events"] {
                let request = CurlRequest(url: site.url + target, headers: [("Authorization", "Bearer \(Site.key)")])
                answers.add(Task { try await site.bench.driver.send(request) })
            }
            try await eventually { try await site.bench.runs.run(id).map { $0.sum.processed > 0 } ?? false }
        }
        let (waiting, events) = (try await answers.tasks[0].value, try await answers.tasks[1].value)
        #expect(Reply(waiting).isError(503, "stopping") && waiting.headers["Retry-After"] != nil)
        #expect(events.status == 200 && Reply(events).text.hasPrefix("event: progress\n"))
    }

    // MARK: What goes wrong

    @Test(arguments: ["0", "-1", "1.5", "abc", "1e3", "%2B5", "0x10", "100000001", "99999999999999999999", "%F0%9F%98%80", "10%00"])
    func aBadLimitIsRefusedByName(limit: String) async throws {
        try await Site.use { site in
            let reply = try await site.send("POST", "\(Self.sync)/contacts?limit=\(limit)")
            #expect(reply.isError(400, "bad_parameter") && (reply.json["error"] as? String)?.hasPrefix("limit ") == true)
            #expect(try await site.bench.runs.latest(limit: 10).isEmpty)
        }
    }

    @Test func unknownSyncsAndRunsAreNotFound() async throws {
        try await Site.use { (site: Site) async throws in
            for name in ["tickets", "Contacts", "contacts%20", "$where", "run"] {
                #expect(try await site.send("POST", "\(Self.sync)/\(name)").isError(404, "unknown_sync"), "\(name)")
            }
            for id in ["x", "$ne", "%00", "%7B%22$gt%22:%22%22%7D", String(repeating: "1", count: 3000)] {
                for (method, rest) in [("GET", ""), ("DELETE", ""), ("GET", "/events")] {
                    #expect(try await site.send(method, "\(Self.sync)/runs/\(id)\(rest)").isError(404, "unknown_run"), "\(method) \(id.prefix(30))")
                }
            }
            #expect(try await site.send("POST", "\(Self.sync)/contacts?wait=perhaps").isError(400, "bad_parameter"))
            #expect(try await site.send("GET", "\(Self.sync)/runs?limit=201").isError(400, "bad_parameter"))
        }
    }

    @Test func aRunThatCannotProceedSaysWhy() async throws {
        try await Site.use { site in
            site.bench.simulator.missingScopes = ["crm.objects.deals.read", "crm.schemas.deals.read"]
            let partial = try await site.send("POST", "\(Self.sync)/all")
            #expect(partial.isError(502, "hubspot_missing_scopes") && partial.json["synced"] as? Int == 290)
            site.bench.simulator.token = "another"
            #expect(try await site.send("POST", "\(Self.sync)/all").isError(502, "hubspot_unauthorized"))
            site.bench.simulator.faults.down = true
            let down = try await site.send("POST", "\(Self.sync)/all")
            #expect(down.isError(502, "hubspot_unreachable"))
            #expect(!down.text.contains(site.bench.simulator.settings.token))
        }
    }

    @Test func withoutMongoDBASyncFailsClearly() async throws {
        try await Site.use(database: try .away()) { site in
            let reply = try await site.send("POST", "\(Self.sync)/deals")
            #expect(reply.isError(503, "mongodb_unreachable") && reply.json["synced"] as? Int == 0)
            #expect(try await site.send("GET", "\(Self.sync)/runs").isError(503, "mongodb_unreachable"))
        }
    }
}

/// What clients that are still waiting when the service stops get in the end.
final class Answers: @unchecked Sendable {  // filled before the stop, read after it
    private(set) var tasks: [Task<CurlResponse, any Error>] = []

    func add(_ task: Task<CurlResponse, any Error>) { tasks.append(task) }
}
