import Curl
import Foundation
import Logging
import Simulator
import TestSupport
import Testing

/// A running `hubspot-sync serve` and its API.
struct Service: Sendable {
    /// Secrets that no output may hold.
    static let adminKey = "admin-key-marker-5d0b7c1e", clientSecret = "client-secret-marker-91ffa2"
    static let token = "pat-token-marker-3c7e66ad"

    let process: ServiceProcess
    let url: String
    let driver: CurlDriver

    struct Reply {
        let status: Int
        let body: [UInt8]

        var text: String { String(decoding: body, as: UTF8.self) }
        var json: [String: Any] { (try? JSONSerialization.jsonObject(with: Data(body))) as? [String: Any] ?? [:] }
        var code: String? { json["code"] as? String }
        var isSuccess: Bool? { json["success"] as? Bool }

        func integer(_ name: String) -> Int? { json[name] as? Int }
        func object(_ name: String) -> [String: Any] { json[name] as? [String: Any] ?? [:] }

        /// A sample of `/metrics`.
        ///
        /// - Parameter name: with its labels, as in the text.
        func metric(_ name: String) -> Double? {
            text.split(separator: "\n").first { $0.hasPrefix(name + " ") }?.split(separator: " ").last.flatMap { Double($0) }
        }

        /// Whether it has the form that every error of the contract has.
        var isError: Bool { status >= 400 && isSuccess == false && code?.isEmpty == false && (json["error"] as? String)?.isEmpty == false }
    }

    /// The variables of a service; `changes` go over them, nil removes one.
    static func environment(mongodb: String, hubspot: String, _ changes: [String: String?] = [:]) -> [String: String] {
        let usual: [String: String?] = [
            "PORT": "0", "MONGODB_URI": mongodb, "HUBSPOT_API_BASE_URL": hubspot, "HUBSPOT_ACCESS_TOKEN": token,
            "HUBSPOT_CLIENT_SECRET": clientSecret, "ADMIN_API_KEY": adminKey, "HUBSPOT_RATE_LIMIT": "100000/1s",
            "HUBSPOT_SEARCH_RATE_LIMIT": "1000/1s", "INCREMENTAL_SYNC_INTERVAL": "0", "FULL_SYNC_INTERVAL": "0",
        ]
        return usual.merging(changes) { $1 }.compactMapValues { $0 }
    }

    /// Runs a service around `body`, stops it, and holds it to its promises: an orderly end in time, and no secret in what it said.
    ///
    /// - Parameter isReady: whether to wait until it can be used; false for one that starts without MongoDB.
    static func run<R>(
        _ environment: [String: String], isReady: Bool = true, _ body: (Service) async throws -> R
    ) async throws -> R {
        let process = try ServiceProcess(["serve"], environment: environment)
        let driver = CurlDriver()
        let result: Result<R, any Error>
        do {
            let port = try await process.number("port", inLineWith: "Listening")
            if isReady { _ = try await process.line(with: "MongoDB is ready") }
            let service = Service(process: process, url: "http://127.0.0.1:\(port)", driver: driver)
            if isReady { #expect(try await service.get("/health/ready").status == 200) }
            result = .success(try await body(service))
        } catch {
            result = .failure(error)
        }
        await driver.shutDown()
        let (status, took) = await process.terminate()
        #expect(status == 0, "\(process.standardError.suffix(2000))")
        #expect(took < .seconds(10))
        let said = process.standardOutput + process.standardError
        for secret in [adminKey, clientSecret, token] { #expect(!said.contains(secret)) }
        return try result.get()
    }

    /// A service to be killed, or stopped by its process.
    static func start(_ environment: [String: String]) async throws -> Service {
        let process = try ServiceProcess(["serve"], environment: environment)
        let port = try await process.number("port", inLineWith: "Listening")
        _ = try await process.line(with: "MongoDB is ready")
        return Service(process: process, url: "http://127.0.0.1:\(port)", driver: CurlDriver())
    }

    // MARK: API

    func send(_ method: String, _ path: String, authorization: String? = "Bearer \(adminKey)") async throws -> Reply {
        let headers = authorization.map { [("Authorization", $0)] } ?? []
        let response = try await driver.send(CurlRequest(method: method, url: url + path, headers: headers, timeout: .seconds(240), stallTimeout: .seconds(240)))
        let reply = Reply(status: response.status, body: response.body)
        for secret in [Service.adminKey, Service.clientSecret, Service.token] { #expect(!reply.text.contains(secret)) }
        return reply
    }

    func get(_ path: String) async throws -> Reply { try await send("GET", path) }

    func admin(_ path: String) async throws -> Reply { try await send("GET", "/api/admin/hubspot/" + path) }

    func sync(_ scope: String) async throws -> Reply { try await send("POST", "/api/admin/hubspot/sync/" + scope) }

    /// Asks until the answer is as wanted; the test's time limit ends what never comes true. Not all the time: what is measured must
    /// not be kept busy by the looks at it.
    func poll(_ path: String, until isDone: (Reply) throws -> Bool) async throws -> Reply {
        while true {
            let reply = try await get(path)
            if try isDone(reply) { return reply }
            try await Task.sleep(for: .milliseconds(20))
        }
    }

    // MARK: Commands

    /// Runs a command against this service, which finds address and key in the environment.
    func command(_ arguments: [String]) async throws -> (status: Int32, output: String, errors: String) {
        let result = try await ServiceProcess.run(arguments, environment: commandEnvironment)
        for secret in [Service.adminKey, Service.clientSecret, Service.token] {
            #expect(!(result.output + result.errors).contains(secret))
        }
        return result
    }

    var commandEnvironment: [String: String] { ["HUBSPOT_SYNC_URL": url, "ADMIN_API_KEY": Service.adminKey] }

    /// Runs `hubspot-sync sync SCOPE` to its end and gives the result that it prints.
    func syncCommand(_ scope: String) async throws -> Reply {
        let (status, output, errors) = try await command(["sync", scope])
        #expect(status == 0, "\(errors)")
        return Reply(status: Int(status), body: Array(output.utf8))
    }
}

/// A simulated HubSpot in this process, where a test can turn its switches.
func withSimulator<R>(_ change: (inout SimulatorSettings) -> Void = { _ in }, _ body: (Simulator) async throws -> R) async throws -> R {
    var settings = SimulatorSettings()
    settings.token = Service.token
    settings.clientSecret = Service.clientSecret
    settings.contacts = 250
    settings.companies = 40
    settings.deals = 60
    settings.rateLimit = nil
    settings.searchRateLimit = nil
    change(&settings)
    let simulator = Simulator(settings: settings, logger: Logger(label: "simulator", factory: { _ in SwiftLogNoOpLogHandler() }))
    try await simulator.start()
    do {
        let result = try await body(simulator)
        await simulator.stop()
        return result
    } catch {
        await simulator.stop()
        throw error
    }
}

/// A simulated HubSpot in a process of its own, as fast as the binary.
func withSimulatorProcess<R>(_ options: [String], _ body: (_ url: String) async throws -> R) async throws -> R {
    let process = try ServiceProcess(
        ["simulate", "--port", "0"] + options,
        environment: ["HUBSPOT_ACCESS_TOKEN": Service.token, "HUBSPOT_CLIENT_SECRET": Service.clientSecret])
    let result: Result<R, any Error>
    do {
        let port = try await process.number("port", inLineWith: "listens")
        result = .success(try await body("http://127.0.0.1:\(port)"))
    } catch {
        result = .failure(error)
    }
    #expect(await process.terminate().status == 0)
    return try result.get()
}
