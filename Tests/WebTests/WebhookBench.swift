import Curl
import Foundation
import HubSpot
import Logging
import Metrics
import Mongo
import Rules
import ServiceLifecycle
import Signature
import Simulator
import Store
import Sync
import TestSupport

@testable import Web

/// All that webhooks go through, behind a real socket: receiver, inbox, pool and mirror, with a simulated HubSpot on the other side.
struct WebhookBench: Sendable {
    static let secret = "webhook-bench-secret-of-the-app"
    static let adminKey = "webhook-bench-admin-key"

    let simulator: Simulator
    let database: MongoDatabase
    let store: Store
    let driver: CurlDriver
    let account: AccountIdentity
    let metrics: PrometheusMetrics
    let log: RecordedLog
    let port: Int

    var url: String { "http://127.0.0.1:\(port)/api/webhooks/hubspot" }

    /// Starts everything, gives it to `body` and stops everything, whatever came of it.
    ///
    /// - Parameters:
    ///   - web: what is special about the web side.
    ///   - database: another one than the test's own; prepared by the caller.
    static func use(
        web change: (inout WebSettings) -> Void = { _ in }, database: MongoDatabase? = nil,
        _ body: (WebhookBench) async throws -> Void
    ) async throws {
        let log = RecordedLog()
        let logger = log.logger()
        var account = SimulatorSettings()
        account.contacts = 50
        account.companies = 20
        account.deals = 20
        account.rateLimit = nil
        account.searchRateLimit = nil
        account.clientSecret = secret
        let simulator = Simulator(settings: account, logger: logger)
        try await simulator.start()
        let driver = CurlDriver()
        let hubspot = HubSpotClient(
            settings: HubSpotSettings(
                baseURL: simulator.baseURL, accessToken: account.token, rateLimit: .init(calls: 1_000_000, interval: .seconds(1)),
                attemptsMax: 2, backoff: Backoff(base: .milliseconds(2), cap: .milliseconds(10))), driver: driver, logger: logger)
        let used = database ?? ScratchDatabase.current
        let store = Store(database: used, logger: logger)
        if database == nil { try await store.prepare() }
        let catalog = PropertyCatalog(hubspot: hubspot)
        let runs = Runs(store: store, hubspot: hubspot, catalog: catalog, instance: "test", logger: logger)
        let pool = Pool(store: store, hubspot: hubspot, catalog: catalog, concurrency: 4, owner: "bench", logger: logger)
        let identity = AccountIdentity(hubspot: hubspot, logger: logger)
        let metrics = PrometheusMetrics(version: "test")
        var settings = WebSettings(port: 0, adminKey: adminKey, clientSecrets: [secret])
        change(&settings)
        let (ports, tellPort) = AsyncStream<Int>.makeStream()
        let web = try WebService(
            settings: settings, store: store, runs: runs, pool: pool, inboxWriter: InboxWriter(inbox: store.inbox, owner: "bench"),
            account: identity, hubspot: hubspot, catalog: catalog,
            definitions: Definitions(hubspot: hubspot, catalog: catalog, store: store, logger: logger),
            verification: Verification(store: store, hubspot: hubspot, catalog: catalog, every: nil, logger: logger), metrics: metrics, logger: logger,
            onRunning: { tellPort.yield($0) })
        var configuration = ServiceGroupConfiguration(
            services: [.init(service: identity), .init(service: runs), .init(service: pool), .init(service: web)], logger: logger)
        configuration.maximumGracefulShutdownDuration = .seconds(20)
        let group = ServiceGroup(configuration: configuration)
        let result = await withTaskGroup(of: Result<Void, any Error>.self) { tasks in
            tasks.addTask {
                await withMetricsFactory(metrics) {
                    do { return .success(try await group.run()) } catch { return .failure(error) }
                }
            }
            var result = Result<Void, any Error>.success(())
            for await port in ports {
                let bench = WebhookBench(
                    simulator: simulator, database: used, store: store, driver: driver, account: identity, metrics: metrics,
                    log: log,
                    port: port)
                do { try await body(bench) } catch { result = .failure(error) }
                break
            }
            await group.triggerGracefulShutdown()
            for await ended in tasks {
                if case .success = result { result = ended }
            }
            return result
        }
        await driver.shutDown()
        await simulator.stop()
        try result.get()
    }

    // MARK: Webhooks

    /// The headers that HubSpot would send with the body, v1 and v3 together.
    func signed(_ body: [UInt8], secret: String = secret, url: String? = nil, at now: Int64? = nil) throws -> [(
        name: String, value: String
    )] {
        try Signer(secret: secret).headers(
            method: "POST", uri: url ?? self.url, body: body, timestampMs: now ?? Int64(Date().timeIntervalSince1970 * 1000))
    }

    /// Posts as HubSpot does.
    func deliver(_ body: [UInt8]) async throws -> CurlResponse { try await post(body, try signed(body)) }

    func deliver(_ body: String) async throws -> CurlResponse { try await deliver(Array(body.utf8)) }

    func post(_ body: [UInt8], _ headers: [(name: String, value: String)]) async throws -> CurlResponse {
        try await driver.send(
            CurlRequest(
                method: "POST", url: url, headers: headers + [("Content-Type", "application/json"), ("Expect", "")], body: body,
                timeout: .seconds(30)))
    }

    /// The bytes of a request as they go over the wire.
    func request(_ headers: [(name: String, value: String)], length: Int?, body: [UInt8] = []) -> [UInt8] {
        var lines = ["POST /api/webhooks/hubspot HTTP/1.1", "Host: 127.0.0.1:\(port)", "Content-Type: application/json"]
        lines += headers.map { "\($0.name): \($0.value)" }
        if let length { lines.append("Content-Length: \(length)") }
        return Array((lines + ["", ""]).joined(separator: "\r\n").utf8) + body
    }

    // MARK: Administration

    func admin(_ method: String, _ path: String, key: String? = adminKey) async throws -> CurlResponse {
        try await driver.send(
            CurlRequest(
                method: method, url: "http://127.0.0.1:\(port)/api/admin/hubspot/\(path)",
                headers: key.map { [("Authorization", "Bearer \($0)")] } ?? [], body: method == "POST" ? [] : nil,
                timeout: .seconds(30)))
    }
}

extension CurlResponse {
    /// A member of the answer's JSON object.
    subscript(name: String) -> Any? {
        // Whatever is no object has no member.
        ((try? JSONSerialization.jsonObject(with: Data(body))) as? [String: Any])?[name]
    }

    var text: String { String(decoding: body, as: UTF8.self) }

    /// The `code` of an error.
    var code: String? { self["code"] as? String }
}
