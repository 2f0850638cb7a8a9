import Bytes
import Curl
import Foundation
import Model
import Mongo
import Simulator
import TestSupport
import Testing

extension EndToEnd {
    /// Whole accounts at the account's own speed, at a million records, and by several instances of which some die.
    @Suite(.scratchDatabase) struct BackfillTests {
        let database = ScratchDatabase.current

        private func uri() async throws -> String { try await MongoServer.shared.uri(database.name) }

        /// HubSpot as far away as it is from most servers: 300 ms a call, 190 calls in 10 s.
        @Test func aBackfillUsesTheAccountsLimit() async throws {
            let counts = EndToEnd.isQuick ? [20_000, 5_000, 5_000] : [200_000, 50_000, 50_000]
            let total = counts.reduce(0, +)
            let options = [
                "--contacts", "\(counts[0])", "--companies", "\(counts[1])", "--deals", "\(counts[2])", "--properties", "20",
                "--rate-limit", "190/10s", "--latency-ms", "300",
            ]
            try await withSimulatorProcess(options) { simulator in
                let environment = Service.environment(
                    mongodb: try await uri(), hubspot: simulator, ["HUBSPOT_RATE_LIMIT": "190/10s", "HUBSPOT_SEARCH_RATE_LIMIT": "5/1s"])
                try await Service.run(environment) { service in
                    let control = SimulatorControl(url: simulator, driver: service.driver)
                    // A limited sync is one walk, page after page.
                    let alone = 2_000
                    let single = try await service.sync("contacts?limit=\(alone)")
                    #expect(single.integer("synced") == alone)
                    let singlePerSecond = Double(alone) / (Double(try #require(single.integer("durationMs"))) / 1000)
                    _ = try await service.pollStatus { $0.rateLimit("remaining") == 190 }
                    try await control.send("reset-calls")

                    let result = try await service.syncCommand("all")
                    #expect(result.integer("errors") == 0)
                    #expect(result.integer("synced").map { $0 + (result.integer("updated") ?? 0) } == total)
                    let took = Double(try #require(result.integer("durationMs"))) / 1000

                    let calls = try await control.get("calls")
                    let endpoints = calls["endpoints"] as? [String: [String: Int]] ?? [:]
                    let refused = endpoints.values.reduce(0) { $0 + $1["429", default: 0] }
                    let searches = calls["searches"] as? Int ?? 0, made = (calls["total"] as? Int ?? 0) - searches
                    // Searches have a limit of their own, beside that of all other calls.
                    let needed = max(Double(made) / 19, Double(searches) / 5)
                    let lists = Double(total) / 1_900
                    EndToEnd.report(
                        String(
                            format: """
                                %d records in %.1f s, %.0f a second: %.0f %% of what the limit allows (%.1f s for %d calls beside %d searches; \
                                %.1f s for the lists alone); most in 10 s %@, searches in 1 s %@, 429s %@; one walk alone: %.0f a second, %.0f s for all
                                """, total, took, Double(total) / took, lists / took * 100, needed, made, searches, lists,
                            "\(calls["maxIn10Seconds"] ?? "?")", "\(calls["maxSearchesIn1Second"] ?? "?")", "\(refused)",
                            singlePerSecond, Double(total) / singlePerSecond))
                    #expect(refused == 0)
                    #expect(calls["maxIn10Seconds"] as? Int ?? .max <= 190)
                    // The first and the last seconds weigh more in a small account.
                    #expect(lists / took >= (EndToEnd.isQuick ? 0.6 : 0.85))
                    let comparison = try await MirrorComparison(simulatorURL: simulator, database: database)
                    #expect(comparison.isEqual, "\(comparison.differences.joined(separator: "\n"))")
                    #expect(comparison.records == total)
                }
            }
        }

        /// As fast as the machine allows: what a record costs does not grow with their number, and memory does not either.
        @Test func aMillionContactsCostAsMuchEachAsTenThousand() async throws {
            let counts = EndToEnd.isQuick ? [1_000, 10_000] : [10_000, 100_000, 1_000_000]
            var costs: [Double] = []
            for count in counts {
                let name = "\(database.name)_\(count)"
                let options = [
                    "--contacts", "\(count)", "--companies", "0", "--deals", "0", "--properties", "12", "--rate-limit", "1000000/1s",
                ]
                try await withSimulatorProcess(options) { simulator in
                    let environment = Service.environment(
                        mongodb: try await MongoServer.shared.uri(name), hubspot: simulator,
                        ["HUBSPOT_RATE_LIMIT": "1000000/1s", "HUBSPOT_SEARCH_RATE_LIMIT": "100000/1s"])
                    try await Service.run(environment) { service in
                        let idle = try service.process.memory, before = try service.process.cpuSeconds
                        let result = try await service.syncCommand("contacts")
                        #expect(result.integer("synced") == count && result.integer("errors") == 0)
                        let cpu = try service.process.cpuSeconds - before, memory = try service.process.memory
                        let took = Double(try #require(result.integer("durationMs"))) / 1000
                        costs.append(cpu / Double(count) * 1e6)
                        EndToEnd.report(
                            String(
                                format: "%d contacts: %.1f s, %.0f a second, %.1f µs of processor time each; resident %.0f MB idle, at most %.0f MB",
                                count, took, Double(count) / took, cpu / Double(count) * 1e6, idle.now, memory.peak))
                        if try ServiceProcess.isRelease { #expect(memory.peak < 100) }
                        if count == counts.last { try await expectQuickPage(service, count) }
                    }
                }
                _ = try await database.database(named: name).run { try $0.command(["dropDatabase": 1]) }
            }
            if try ServiceProcess.isRelease { #expect(try #require(costs.last) < 1.5 * costs[0]) }
        }

        /// The admin page with its counts, and a page of the records, as an operator's browser asks for them.
        private func expectQuickPage(_ service: Service, _ count: Int) async throws {
            let login = try await service.driver.send(
                CurlRequest(
                    method: "POST", url: service.url + "/api/admin/login", headers: [("Content-Type", "application/json")],
                    body: Array(#"{"password":"\#(Service.adminKey)"}"#.utf8), timeout: .seconds(10)))
            let cookie = try #require(login.headers["Set-Cookie"]).prefix { $0 != ";" }
            for path in ["/admin", "/admin/records?type=contacts"] {
                var medians: [Double] = []
                // What else a machine does makes a round longer, never shorter.
                repeat {
                    var times: [Double] = []
                    for _ in 0..<20 {
                        let start = ContinuousClock.now
                        let page = try await service.driver.send(
                            CurlRequest(url: service.url + path, headers: [("Cookie", String(cookie))], timeout: .seconds(30)))
                        times.append((ContinuousClock.now - start).inSeconds * 1000)
                        #expect(page.status == 200 && page.body.count < 500_000)
                    }
                    times.sort()
                    medians.append(times[times.count / 2])
                    EndToEnd.report(
                        String(format: "%@ over %d contacts: median %.1f ms, slowest of %d %.1f ms", path, count, times[times.count / 2], times.count, times[times.count - 1]))
                } while medians.count < 3 && medians[medians.count - 1] >= 50
                if try ServiceProcess.isRelease { #expect(try #require(medians.min()) < 50) }
            }
        }

        /// Each lives for some seconds, under webhooks and a full sync that outlives them all.
        @Test func severalInstancesShareTheWorkHoweverOftenOneIsKilled() async throws {
            let kills = EndToEnd.isQuick ? 3 : 10
            try await withSimulator {
                $0.contacts = EndToEnd.isQuick ? 6_000 : 30_000
                $0.companies = 3_000
                $0.deals = 3_000
                $0.propertiesPerRecord = 12
                $0.rateLimit = .init(190, per: .seconds(10))
                $0.searchRateLimit = .init(5, per: .seconds(1))
                $0.webhooks.retryTimeScale = 5e-4
                $0.webhooks.retriesMax = 30
                $0.webhooks.duplicateShare = 0.05
                $0.webhooks.shuffles = true
            } _: { simulator in
                let environment = Service.environment(
                    mongodb: try await uri(), hubspot: simulator.baseURL,
                    ["HUBSPOT_RATE_LIMIT": "190/10s", "HUBSPOT_SEARCH_RATE_LIMIT": "5/1s"])
                let start = ContinuousClock.now
                try await Service.run(environment) { last in
                    var others: [Service] = []
                    for _ in 0..<2 { others.append(try await Service.start(environment)) }
                    // What a load balancer does: deliveries go to one that lives.
                    func route(_ service: Service) { simulator.setWebhookURL(service.url + "/api/webhooks/hubspot") }
                    route(others[0])
                    let load = Load(simulator)
                    load.begin(seed: 1)
                    let begun = try await others[0].sync("all?wait=false")
                    let run = try #require(begun.json["id"] as? String)
                    var random = SeededRandom(state: UInt64.random(in: 0...UInt64.max))
                    var resumptions = 0
                    for kill in 0..<kills {
                        try await Task.sleep(for: .milliseconds(Int.random(in: 1500...4000, using: &random)))
                        let victim = kill % 2
                        route(others[1 - victim])
                        await others[victim].process.kill()
                        others[victim] = try await Service.start(environment)
                    }
                    await load.end()
                    let ended = try await last.poll("/api/admin/hubspot/sync/runs/\(run)") { $0.json["state"] as? String != "running" }
                    resumptions = ended.integer("resumptions") ?? 0
                    #expect(ended.json["state"] as? String == "succeeded", "\(ended.text)")
                    await simulator.deliveriesSettled()
                    try await last.settle(database)
                    let comparison = try await MirrorComparison(withAssociations: false, simulatorURL: simulator.baseURL, database: database)
                    #expect(comparison.isEqual, "\(comparison.differences.joined(separator: "\n"))")
                    #expect(simulator.deliveries.dropped == 0)
                    let most = simulator.maxCallsInAnyWindow(.seconds(10)), mostSearches = simulator.maxSearchesInAnyWindow(.seconds(1))
                    let refused = simulator.calls.values.reduce(0) { $0 + $1[429, default: 0] }
                    EndToEnd.report(
                        """
                        three instances, \(kills) of them killed within \((.now - start).shown): \(simulator.deliveries.acceptedEvents) events accepted, \
                        the full sync taken over \(resumptions) times, \(comparison.records) records equal; \(simulator.callCount) calls, \
                        at most \(most) in 10 s, \(mostSearches) searches in 1 s, \(refused) refused
                        """)
                    #expect(most <= 190 && mostSearches <= 5 && refused == 0)
                    for other in others {
                        let (status, _) = await other.process.terminate()
                        #expect(status == 0)
                        await other.driver.shutDown()
                    }
                }
            }
        }
    }
}
