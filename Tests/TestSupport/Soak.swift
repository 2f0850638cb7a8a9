import Bytes
import Curl
import Foundation
import Model
import Mongo

/// The built service under load while it is killed, its MongoDB fails over and HubSpot answers wrongly; then what became of the mirror.
///
/// Everything runs in processes of its own: a MongoDB, a simulated HubSpot that changes and tells of it, and the instances behind a
/// balancer. No sync runs until the mirror was compared: what was accepted must have arrived by itself.
public struct Soak: Sendable {
    /// How long the load lasts at least; it goes on until every kill and failover has happened.
    public var duration: Duration = .seconds(60)
    /// Changes of the account a second, most of them worth an event or two.
    public var changesPerSecond = 100
    public var instances = 2
    /// `kill -9` of an instance, at random moments.
    public var kills = 0
    /// Losses of the primary, at random moments, in the ways of `failoverKinds` by turns.
    public var failovers = 0
    public var failoverKinds = MongoServer.Failover.allCases
    /// The share of HubSpot's answers that are 429, 500, 502, cut or reset.
    public var faults = 0.0
    /// Contacts at the start; companies and deals are a fifth each.
    public var contacts = 5000
    /// Told about what happens, a line each.
    public var report: @Sendable (String) -> Void = { _ in }

    public init() {}

    public struct Failure: Error, CustomStringConvertible {
        public let description: String
    }

    /// How long the last event may take to arrive once nothing fails any more.
    private static let settlingMax: Duration = .seconds(600)
    private static let rateLimit = "1000/1s"

    public func run() async throws -> SoakResult {
        let mongod = try await MongoServer.start(members: failovers > 0 ? 3 : 1)
        let driver = CurlDriver()
        let secrets = ["HUBSPOT_ACCESS_TOKEN": "soak-token", "HUBSPOT_CLIENT_SECRET": "soak-client-secret"]
        let simulator = try ServiceProcess(
            [
                "simulate", "--port", "0", "--contacts", "\(contacts)", "--companies", "\(contacts / 5)", "--deals", "\(contacts / 5)",
                "--properties", "20", "--rate-limit", Soak.rateLimit,
            ], environment: secrets)
        let result: Result<SoakResult, any Error>
        do {
            let hubspot = "http://127.0.0.1:\(try await simulator.number("port", inLineWith: "listens"))"
            let environment = secrets.merging([
                "MONGODB_URI": mongod.uri("soak"), "HUBSPOT_API_BASE_URL": hubspot, "HUBSPOT_RATE_LIMIT": Soak.rateLimit,
                "HUBSPOT_SEARCH_RATE_LIMIT": "1000/1s", "ADMIN_API_KEY": "soak-admin-key", "INCREMENTAL_SYNC_INTERVAL": "0",
                "RECONCILE_INTERVAL": "0", "FULL_SYNC_INTERVAL": "0", "VERIFY_INTERVAL": "0",
            ]) { $1 }
            let living = try (0..<instances).map { _ in try SoakInstance(environment: environment, driver: driver) }
            do {
                result = .success(try await run(mongod, SimulatorControl(url: hubspot, driver: driver), hubspot, living))
            } catch {
                result = .failure(error)
            }
            for instance in living { await instance.end() }
        } catch {
            _ = await simulator.terminate()
            await driver.shutDown()
            await mongod.kill()
            throw error
        }
        _ = await simulator.terminate()
        await driver.shutDown()
        await mongod.kill()
        return try result.get()
    }

    private func run(_ mongod: MongoServer, _ hubspot: SimulatorControl, _ url: String, _ living: [SoakInstance]) async throws -> SoakResult {
        for instance in living { try await instance.start() }
        _ = try await living[0].sync()
        let balancer = try FaultyProxy(toAnyOf: living.map(\.port))
        defer { balancer.stop() }
        // Sixteen attempts over a minute and a half, the first after a millisecond or two: HubSpot takes a day.
        try await hubspot.send(
            "webhooks",
            [
                "url": balancer.url + "/api/webhooks/hubspot", "retries": 16, "retryTimeScale": 0.001, "shuffles": true, "duplicateShare": 0.05,
            ])
        try await hubspot.send("faults", ["mixed": faults])
        try await hubspot.send("reset-calls")

        var result = SoakResult()
        let start = ContinuousClock.now
        let end = start + duration
        report("the account changes \(changesPerSecond) times a second")
        let (changes, watch) = (Task { try await change(hubspot) }, Task { await observe(living) })
        var failure: (any Error)?
        do {
            async let done = failOver(mongod, until: end)
            try await kill(living, until: end)
            result.failovers = try await done
            try await Task.sleep(until: end)
        } catch {
            failure = error
        }
        changes.cancel()
        watch.cancel()
        try await changes.value
        if let failure { throw failure }
        result.kills = kills
        result.loadTook = .now - start
        result.memory = await watch.value
        let calls = try await hubspot.get("calls")
        result.calls = calls["total"] as? Int ?? 0
        result.faults = calls["faults"] as? Int ?? 0
        try await hubspot.send("faults")

        report("nothing fails any more; waiting until everything has arrived")
        let calm = ContinuousClock.now
        let database = try MongoDatabase(MongoSettings(uri: mongod.uri("soak"), threads: 1))
        do {
            try await settle(hubspot, living, database, until: calm + Soak.settlingMax)
            result.convergedIn = .now - calm
            let deliveries = try await hubspot.get("deliveries")
            func count(_ name: String) -> Int { deliveries[name] as? Int ?? 0 }
            result.events = count("events")
            result.accepted = count("acceptedEvents")
            result.givenUp = count("dropped")
            result.repeated = count("retried")
            result.failures = deliveries["failures"] as? [String: Int] ?? [:]
            result.latencyMs = deliveries["latencyMs"] as? [String: Double] ?? [:]

            let webhooksOnly = try await MirrorComparison(withAssociations: false, simulatorURL: url, database: database)
            result.lost = webhooksOnly.differenceCount
            result.differences = webhooksOnly.differences
            report("comparing once more after a sync")
            result.isSyncClean = try await living[0].sync()
            let synced = try await MirrorComparison(simulatorURL: url, database: database)
            result.records = synced.records
            result.properties = synced.properties
            result.differing = synced.differenceCount
            result.differences += synced.differences
        } catch {
            await database.shutDown()
            throw error
        }
        await database.shutDown()
        return result
    }

    // MARK: What happens meanwhile

    private func change(_ hubspot: SimulatorControl) async throws {
        let start = ContinuousClock.now
        var made = 0
        while !Task.isCancelled {
            let elapsed = ContinuousClock.now - start
            let due = Int(Double(changesPerSecond) * (Double(elapsed.components.seconds) + Double(elapsed.components.attoseconds) / 1e18))
            if due > made {
                do {
                    try await hubspot.send("mutate", ["changes": due - made, "seed": made + 1])
                } catch where Task.isCancelled {
                    break  // in the middle of the call
                }
                made = due
            }
            // Cancelled while asleep: the loop's condition ends it.
            try? await Task.sleep(for: .milliseconds(50))
        }
    }

    /// Random moments until `end`, in order.
    private func moments(_ count: Int, until end: ContinuousClock.Instant) -> [ContinuousClock.Instant] {
        let start = ContinuousClock.now
        return (0..<count).map { _ in start + (end - start) * Double.random(in: 0..<1) }.sorted()
    }

    private func kill(_ living: [SoakInstance], until end: ContinuousClock.Instant) async throws {
        for (number, moment) in moments(kills, until: end).enumerated() {
            try await Task.sleep(until: moment)
            try await living.randomElement()?.killAndRestart()
            if (number + 1) % 50 == 0 || number + 1 == kills { report("\(number + 1) of \(kills) kills") }
        }
    }

    private func failOver(_ mongod: MongoServer, until end: ContinuousClock.Instant) async throws -> [MongoServer.Failover: Int] {
        var done: [MongoServer.Failover: Int] = [:]
        for (number, moment) in moments(failovers, until: end).enumerated() {
            try await Task.sleep(until: moment)
            let kind = failoverKinds[number % failoverKinds.count]
            let start = ContinuousClock.now
            try await mongod.failOver(kind, outage: .milliseconds(Int.random(in: 0...4000)))
            done[kind, default: 0] += 1
            report("failover \(number + 1) of \(failovers): the primary was \(kind.rawValue); whole again after \((.now - start).inSeconds) s")
        }
        return done
    }

    /// Looks at the instances' memory every second.
    private func observe(_ living: [SoakInstance]) async -> SoakMemory {
        var memory = SoakMemory()
        while !Task.isCancelled {
            for (number, instance) in living.enumerated() {
                if let now = await instance.memory { memory.note(resident: now.now, peak: now.peak, of: number) }
            }
            // Cancelled while asleep: the loop's condition ends it.
            try? await Task.sleep(for: .seconds(1))
        }
        return memory
    }

    /// Returns when every event was accepted and nothing is left to do, in memory and in the inbox.
    private func settle(
        _ hubspot: SimulatorControl, _ living: [SoakInstance], _ database: MongoDatabase, until deadline: ContinuousClock.Instant
    ) async throws {
        var nextReport = ContinuousClock.now
        while true {
            let undelivered = try await hubspot.get("deliveries")["pending"] as? Int ?? 0
            let pending = try await database.run { try $0.count(MongoQuery(["state": "pending"]), in: "inbox") }
            var tasks = 0
            for instance in living { tasks += try await instance.unfinishedTasks() }
            if undelivered + pending + tasks == 0 { return }
            let left = "\(undelivered) events not accepted, \(pending) deliveries not worked off, \(tasks) records to read"
            guard ContinuousClock.now < deadline else { throw Failure(description: "not settled after \(Soak.settlingMax): \(left)") }
            if ContinuousClock.now >= nextReport {
                report(left)
                nextReport = .now + .seconds(10)
            }
            try await Task.sleep(for: .milliseconds(100))
        }
    }
}

/// One instance of the service, which is the same again after each of its ends.
actor SoakInstance {
    nonisolated let port: UInt16
    private let environment: [String: String]
    private let driver: CurlDriver
    private var process: ServiceProcess?

    init(environment: [String: String], driver: CurlDriver) throws {
        port = try freePort()
        self.environment = environment.merging(["PORT": String(port)]) { $1 }
        self.driver = driver
    }

    /// Returns when it can be used.
    func start() async throws {
        let process = try ServiceProcess(["serve"], environment: environment)
        self.process = process
        _ = try await process.line(with: "MongoDB is ready")
    }

    func killAndRestart() async throws {
        await process?.kill()
        let process = try ServiceProcess(["serve"], environment: environment)
        self.process = process
        _ = try await process.line(with: "Listening")
    }

    func end() async { _ = await process?.terminate() }

    /// Megabytes; nil while it is not there.
    var memory: (now: Double, peak: Double)? {
        // A process that has just ended has none.
        guard let memory = try? process?.memory, memory.now.isFinite else { return nil }
        return memory
    }

    /// Runs a full sync.
    ///
    /// - Returns: whether it went without an error.
    func sync() async throws -> Bool {
        let result = try await answer("POST", "sync/all")
        return result["success"] as? Bool == true && result["errors"] as? Int == 0
    }

    func unfinishedTasks() async throws -> Int {
        let tasks = try await answer("GET", "sync/status")["tasks"] as? [String: Any] ?? [:]
        return ["queued", "inFlight", "retrying"].reduce(0) { $0 + (tasks[$1] as? Int ?? 0) }
    }

    private func answer(_ method: String, _ path: String) async throws -> [String: Any] {
        let response = try await driver.send(
            CurlRequest(
                method: method, url: "http://127.0.0.1:\(port)/api/admin/hubspot/\(path)",
                headers: [("Authorization", "Bearer \(environment["ADMIN_API_KEY"] ?? "")")], timeout: .seconds(600), stallTimeout: .seconds(600)))
        guard response.status == 200, let json = try JSONSerialization.jsonObject(with: Data(response.body)) as? [String: Any] else {
            throw Soak.Failure(description: "\(path) was answered with \(response.status): \(String(decoding: response.body.prefix(500), as: UTF8.self))")
        }
        return json
    }
}

extension Duration {
    fileprivate var inSeconds: String { String(format: "%.1f", Double(components.seconds) + Double(components.attoseconds) / 1e18) }
}
