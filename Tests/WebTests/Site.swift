import Curl
import Foundation
import HTTPTypes
import Model
import Mongo
import ServiceLifecycle
import Simulator
import Store
import Sync
import TestSupport
import Testing

@testable import Web

/// The whole service on a socket, over the test's scratch database and a simulated account.
struct Site {
    static let key = "correct horse+battery/staple"

    let bench: Workbench
    let url: String
    let routes: Set<String>
    let description: APIDescription

    /// - Parameters:
    ///   - settings: what is special about the web side.
    ///   - address: another HubSpot than the simulated one.
    static func use(
        account: (inout SimulatorSettings) -> Void = { _ in }, address: String? = nil, database: MongoDatabase? = nil,
        settings change: (inout WebSettings) -> Void = { _ in }, _ body: (Site) async throws -> Void
    ) async throws {
        var settings = WebSettings(port: 0, adminKey: key)
        change(&settings)
        let (ports, port) = AsyncStream<Int>.makeStream()
        var routes: Set<String> = []
        try await Workbench.use(account: account, address: address, database: database) { bench in
            let pool = Pool(
                store: bench.store, hubspot: bench.hubspot, catalog: bench.catalog, concurrency: 2, owner: "test", logger: bench.logger)
            let web = try WebService(
                settings: settings, store: bench.store, runs: bench.runs, pool: pool,
                inboxWriter: InboxWriter(inbox: bench.store.inbox, owner: "test"),
                account: AccountIdentity(hubspot: bench.hubspot, logger: bench.logger), hubspot: bench.hubspot, catalog: bench.catalog, definitions: bench.definitions,
                verification: bench.verification,
                metrics: PrometheusMetrics(version: "1.2.3"), logger: bench.logger, onRunning: { port.yield($0) })
            routes = Set(web.routes.map { "\($0.method.rawValue) \($0.path)" })
            return [pool, web]
        } _: { bench in
            var listening = ports.makeAsyncIterator()
            let url = "http://127.0.0.1:\(try #require(await listening.next()))"
            let description = try await bench.driver.send(CurlRequest(url: url + "/openapi.json"))
            try await body(Site(bench: bench, url: url, routes: routes, description: try APIDescription(description.body)))
        }
    }

    /// Sends a request with the admin key, and holds the answer against the description.
    func send(
        _ method: String = "GET", _ target: String, _ headers: [(String, String)] = [], body: String? = nil
    ) async throws -> Reply {
        try await sendOpenly(method, target, headers + [("Authorization", "Bearer \(Site.key)")], body: body)
    }

    /// The same without a key.
    func sendOpenly(
        _ method: String = "GET", _ target: String, _ headers: [(String, String)] = [], body: String? = nil
    ) async throws -> Reply {
        let response = try await bench.driver.send(
            CurlRequest(method: method, url: url + target, headers: headers.map { ($0.0, $0.1) }, body: body.map { Array($0.utf8) }))
        let reply = Reply(response)
        let problems = description.problems(of: reply, method: method, target: target)
        #expect(problems.isEmpty, "\(method) \(target): \(problems.joined(separator: "; "))\n\(reply.text)")
        return reply
    }

    /// The cookie of a new session, as a browser sends it back.
    func logIn() async throws -> (String, String) {
        let reply = try await sendOpenly(
            "POST", "/api/admin/login", [("Content-Type", "application/json")], body: #"{"password":"\#(Site.key)"}"#)
        return ("Cookie", String(try #require(reply.headers["Set-Cookie"]).prefix { $0 != ";" }))
    }

    func sync(_ target: String) async throws { #expect(try await send("POST", "/api/admin/hubspot/sync/" + target).status == 200) }

    /// Every record of a list, page after page.
    func all(_ type: RecordType, _ query: String) async throws -> [[String: Any]] {
        var records: [[String: Any]] = []
        var after: String?
        repeat {
            let reply = try await send("GET", "/api/admin/hubspot/\(type.rawValue)?\(query)" + (after.map { "&after=\($0)" } ?? ""))
            #expect(reply.status == 200, "\(reply.text)")
            records += reply.records(type)
            after = reply.next
        } while after != nil
        return records
    }
}

/// An answer with its JSON.
struct Reply: Sendable {
    let status: Int
    let headers: CurlHeaders
    let body: [UInt8]

    init(_ response: CurlResponse) {
        status = response.status
        headers = response.headers
        body = response.body
    }

    var text: String { String(decoding: body, as: UTF8.self) }
    /// Empty when the body is no JSON object.
    var json: [String: Any] { (try? JSONSerialization.jsonObject(with: Data(body))) as? [String: Any] ?? [:] }
    var code: String? { json["code"] as? String }
    var next: String? { ((json["paging"] as? [String: Any])?["next"] as? [String: Any])?["after"] as? String }

    func records(_ type: RecordType) -> [[String: Any]] { json[type.rawValue] as? [[String: Any]] ?? [] }
    func ids(_ type: RecordType) -> [String] { records(type).compactMap { $0["hubspotId"] as? String } }

    /// Whether it is an error of the contract's form.
    func isError(_ status: Int, _ code: String) -> Bool {
        self.status == status && self.code == code && json["success"] as? Bool == false && (json["error"] as? String)?.isEmpty == false
            && headers["Content-Type"] == "application/json; charset=utf-8"
    }
}
