import Bytes
import Curl
import Foundation
import Model
import Mongo
import Simulator
import Store
import Sync
import TestSupport
import Testing

@testable import Web

@Suite(.scratchDatabase, .timeLimit(.minutes(2))) struct StatusTests {
    static let status = "/api/admin/hubspot/sync/status"

    @Test func theStatusCountsExactly() async throws {
        try await Site.use { site in
            let empty = try await site.send("GET", Self.status)
            #expect((empty.json["contacts"] as? [String: Any])?["total"] as? Int == 0)
            #expect((empty.json["contacts"] as? [String: Any])?["lastSyncedAt"] is NSNull)
            try await site.sync("all")
            let old = Timestamp.now - .seconds(3600)
            try await site.bench.store.writer.write(
                [.sample(id: "77", updatedAt: 77, archived: true), .sample(id: "78", updatedAt: 78)], of: .contacts, at: old)
            try await site.bench.store.writer.markStale(olderThan: old + .seconds(1))
            try await site.bench.store.writer.recordFailure(.contacts, "\(site.bench.simulator.world.seededId(.contacts, 0))", message: "no")
            let reply = try await site.send("GET", Self.status)
            let contacts = try #require(reply.json["contacts"] as? [String: Any])
            #expect(["total", "synced", "pending", "error", "archived"].map { contacts[$0] as? Int } == [251, 249, 1, 1, 1])
            #expect((reply.json["deals"] as? [String: Any])?["total"] as? Int == 60)
            let runs = try #require(reply.json["runs"] as? [String: Any])
            #expect((runs["active"] as? [Any])?.isEmpty == true && ((runs["last"] as? [String: Any])?["all"] as? [String: Any])?["state"] as? String == "succeeded")
            #expect((reply.json["hubspot"] as? [String: Any])?["reachable"] as? Bool == true)
            #expect((reply.json["mongodb"] as? [String: Any])?["reachable"] as? Bool == true)
        }
    }

    @Test func aRunThatGoesOnIsShown() async throws {
        try await Site.use(account: { $0.latency = .milliseconds(50) }) { site in
            let id = try #require(try await site.send("POST", "/api/admin/hubspot/sync/all?wait=false").json["id"] as? String)
            let runs = try await site.send("GET", Self.status).json["runs"] as? [String: Any]
            #expect((runs?["active"] as? [[String: Any]])?.map { $0["id"] as? String } == [id])
            let all = try await site.send("GET", "/api/admin/hubspot/sync/runs").json["runs"] as? [[String: Any]]
            #expect(all?.map { $0["state"] as? String } == ["running"])
        }
    }

    /// However many incremental syncs there were since, and whoever carries it out.
    @Test func theLastRunOfEachScopeAndThoseOfOtherInstancesAreShown() async throws {
        try await Site.use { site in
            try await site.sync("all")
            let now = Timestamp.now
            for minute in 1...60 {
                var run = Run(id: "later-\(minute)", scope: .incremental, startedAt: now + .seconds(60 * minute))
                run.state = .succeeded
                run.finishedAt = run.startedAt
                _ = try await site.bench.store.runs.save(run, owner: "another")
            }
            var other = Run(id: "other", scope: .one(.deals), startedAt: now)
            // Nobody is to take it over.
            other.heartbeatAt = now + .seconds(600)
            _ = try await site.bench.store.runs.begin(other, owner: "another")
            let runs = try #require(try await site.send("GET", Self.status).json["runs"] as? [String: Any])
            #expect((runs["active"] as? [[String: Any]])?.map { $0["id"] as? String } == ["other"])
            let last = try #require(runs["last"] as? [String: [String: Any]])
            #expect(last["all"]?["state"] as? String == "succeeded" && last["incremental"]?["id"] as? String == "later-60")
            #expect(last.count == 2)
        }
    }

    /// The status is looked at every second.
    @Test func theRunsOfTheStatusAreFoundByAnIndex() async throws {
        try await Site.use { _ in
            let filters: [BSONDocument] = [
                ["scope": ["$in": ["all", "deals"]], "finishedAt": nil], ["scope": "all", "finishedAt": ["$gt": .date(0)]],
            ]
            for filter in filters {
                let command: BSONDocument = [
                    "explain": ["find": "runs", "filter": .document(filter), "sort": ["finishedAt": -1]], "verbosity": "queryPlanner",
                ]
                let plan = String(decoding: try await ScratchDatabase.current.run { try $0.command(command) }.bytes, as: UTF8.self)
                #expect(plan.contains("byScope") && !plan.contains("COLLSCAN"))
            }
        }
    }

    /// What cannot be known is null, not a guess.
    @Test func withoutMongoDBAndHubSpotTheStatusSaysSo() async throws {
        try await Site.use(database: try .away()) { site in
            site.bench.simulator.faults.down = true
            let reply = try await site.send("GET", Self.status)
            #expect(reply.status == 200 && (reply.json["companies"] as? [String: Any])?["total"] is NSNull)
            #expect((reply.json["hubspot"] as? [String: Any])?["reachable"] as? Bool == false)
            #expect((reply.json["mongodb"] as? [String: Any])?["reachable"] as? Bool == false)
            #expect(try await site.sendOpenly("GET", "/health/ready").status == 503)
            #expect(try await site.sendOpenly("GET", "/health/live").status == 200)
        }
    }

    private func rateLimit(_ site: Site) async throws -> [String: Any] {
        let hubspot = try await site.send("GET", Self.status).json["hubspot"] as? [String: Any]
        return try #require(hubspot?["rateLimit"] as? [String: Any])
    }

    private func gauges(_ site: Site) async throws -> [String: Double] {
        let lines = try await site.sendOpenly("GET", "/metrics").text.split(separator: "\n").filter { !$0.hasPrefix("#") }
        return Dictionary(lines.compactMap { line in
            let parts = line.split(separator: " ")
            return parts.count == 2 ? Double(parts[1]).map { (String(parts[0]), $0) } : nil
        }, uniquingKeysWith: { $1 })
    }

    @Test func theLimitsAreShown() async throws {
        try await Site.use(account: { $0.rateLimit = .init(190, per: .seconds(10)) }) { site in
            // The status asks HubSpot whether it is there: from then on the limits are known.
            _ = try await rateLimit(site)
            let shown = try await rateLimit(site)
            #expect(shown["limit"] as? Int == 190 && shown["intervalMs"] as? Int == 10_000 && shown["allotted"] as? Int == 190)
            #expect(shown["remaining"] as? Int == 189 && shown["pausedMs"] as? Int == 0 && shown["pauseReason"] is NSNull)
            #expect(shown["instances"] is NSNull && (shown["dailyHeld"] as? [String])?.isEmpty == true)
            #expect(shown["dailyLimit"] as? Int == 1_000_000 && shown["dailyRemaining"] as? Int == 999_999)
            let gauges = try await gauges(site)
            func gauge(_ name: String) -> Double? { gauges["hubspot_sync_hubspot_" + name] }
            #expect(gauge("rate_limit") == 190 && gauge("rate_interval_seconds") == 10 && gauge("rate_allotted") == 190)
            #expect(gauge("rate_remaining") == 189 && gauge("paused_seconds") == 0 && gauge("calls_in_flight") == 0)
            #expect(gauge("daily_limit") == 1_000_000 && gauge("daily_remaining") == 999_999)
            #expect(gauge("daily_held{class=\"full\"}") == 0 && gauge("calls_waiting{class=\"webhook\"}") == 0)
        }
    }

    /// HubSpot answers 477 while it moves the account, for hours.
    @Test func aPauseIsShown() async throws {
        try await Site.use { site in
            site.bench.simulator.faults.moving = 1
            site.bench.simulator.faults.movingRetryAfterSeconds = 7200
            let read = try await site.send("GET", "/api/admin/hubspot/contacts?useSync=false")
            #expect(read.status == 502 && read.headers["Retry-After"] != nil)
            let shown = try await rateLimit(site)
            #expect(shown["pauseReason"] as? String == "migrating")
            #expect((7_000_000...7_200_000).contains(shown["pausedMs"] as? Int ?? 0))
            let paused = try await gauges(site)["hubspot_sync_hubspot_paused_seconds"] ?? 0
            #expect((7000...7200).contains(paused))
        }
    }

    /// With a tenth of the day left, people are served and syncs are not.
    @Test func aDayThatRunsLowStopsSyncsBeforeReads() async throws {
        try await Site.use(account: {
            $0.rateLimit = .init(190, per: .seconds(10))
            $0.dailyLimit = 1000
        }) { site in
            site.bench.simulator.setDailyUsed(929)
            #expect(try await site.send("GET", "/api/admin/hubspot/contacts?useSync=false&limit=1").status == 200)
            let shown = try await rateLimit(site)
            #expect(shown["dailyHeld"] as? [String] == ["full", "healing"])
            #expect((60...70).contains(shown["dailyRemaining"] as? Int ?? 0) && shown["dailyLimit"] as? Int == 1000)
            let gauges = try await gauges(site)
            let held = ["webhook", "live", "incremental", "full", "healing"].map { gauges["hubspot_sync_hubspot_daily_held{class=\"\($0)\"}"] }
            #expect(held == [0, 0, 0, 1, 1])
            let sync = try await site.send("POST", "/api/admin/hubspot/sync/contacts")
            #expect(sync.isError(503, "hubspot_limited") || sync.json["success"] as? Bool == false, "\(sync.text)")
            #expect(try await site.send("GET", "/api/admin/hubspot/contacts?useSync=false&limit=1").status == 200)
        }
    }

    /// At its end HubSpot answers 429, and nobody calls before it begins anew.
    @Test func aUsedUpDayIsShown() async throws {
        try await Site.use(account: { $0.dailyLimit = 1000 }) { site in
            site.bench.simulator.setDailyUsed(1000)
            let read = try await site.send("GET", "/api/admin/hubspot/contacts?useSync=false&limit=1")
            #expect(read.isError(503, "hubspot_limited") && read.headers["Retry-After"] != nil)
            let calls = site.bench.simulator.callCount
            let shown = try await rateLimit(site)
            #expect(shown["pauseReason"] as? String == "daily" && shown["pausedMs"] as? Int ?? 0 > 0)
            #expect(try await site.send("GET", "/api/admin/hubspot/contacts?limit=1").status == 200)
            #expect(site.bench.simulator.callCount == calls)
        }
    }

    @Test func healthAndMetricsNeedNoLogin() async throws {
        try await Site.use { site in
            for path in ["/health/live", "/health/ready"] {
                let reply = try await site.sendOpenly("GET", path)
                #expect(reply.status == 200 && reply.text == "ok\n")
                let head = try await site.sendOpenly("HEAD", path)
                #expect(head.status == 200 && head.body.isEmpty)
            }
            let metrics = try await site.sendOpenly("GET", "/metrics")
            #expect(metrics.status == 200 && metrics.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8")
            #expect(metrics.text.contains("hubspot_sync_build_info{version=\"1.2.3\"} 1\n") && metrics.text.contains("# TYPE process_"))
            #expect(metrics.text.hasSuffix("\n"))
        }
    }

    @Test func otherMethodsAreRefusedWithThoseThatThereAre() async throws {
        try await Site.use { site in
            let paths = [
                ("/health/live", "GET, HEAD, OPTIONS"), ("/admin/login", "GET, HEAD, POST, OPTIONS"), ("/api/admin/login", "POST, OPTIONS"),
                ("/openapi.json", "GET, HEAD, OPTIONS"), ("/api/admin/hubspot/contacts", "GET, HEAD, OPTIONS"),
                ("/api/admin/hubspot/deals/1", "GET, HEAD, OPTIONS"), ("/api/admin/hubspot/sync/runs/1", "GET, HEAD, DELETE, OPTIONS"),
            ]
            for (path, allowed) in paths {
                let options = try await site.send("OPTIONS", path)
                #expect(options.status == 204 && options.headers["Allow"] == allowed, "\(path)")
                for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] where !allowed.contains(method) {
                    let reply = try await site.send(method, path)
                    #expect(reply.isError(405, "method_not_allowed") && reply.headers["Allow"] == allowed, "\(method) \(path)")
                }
            }
        }
    }

    /// HEAD promises to change nothing.
    @Test func headStartsNoSync() async throws {
        try await Site.use { site in
            #expect(try await site.send("HEAD", "/api/admin/hubspot/sync/all").status == 405)
            #expect(try await site.bench.runs.latest(limit: 10).isEmpty)
            let head = try await site.send("HEAD", "/api/admin/hubspot/contacts")
            #expect(head.status == 200 && head.body.isEmpty)
        }
    }
}
