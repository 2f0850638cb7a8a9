import ArgumentParser
import Bytes
import CBaseline
import Foundation
import FoundationNetworking
import Mongo
import Signature

/// Measures a running service and its MongoDB: full syncs, reads and webhooks. What runs is given by the environment that `deploy/bench` sets.
struct Macro: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Measures a running service beside raw programs on the same MongoDB.")

    @Option(help: "The service's port.") var port: Int
    @Option(help: "The service's process id.") var service: Int
    @Option(help: "MongoDB's process id.") var mongod: Int
    @Option(help: "The service's MongoDB URI.") var mongodb: String
    @Option(help: "Contacts of the simulated account.") var contacts: Int
    @Option(help: "Which of them: syncs, reads, webhooks.") var only: [Part] = Part.allCases
    @Option(help: "Where the figures go as JSON.") var json: String?

    static let hubspot = ProcessInfo.processInfo.environment["HUBSPOT_API_BASE_URL"] ?? ""
    static let token = ProcessInfo.processInfo.environment["HUBSPOT_ACCESS_TOKEN"] ?? ""

    enum Part: String, CaseIterable, ExpressibleByArgument {
        case syncs, reads, webhooks
    }

    func run() async throws {
        guard let key = ProcessInfo.processInfo.environment["ADMIN_API_KEY"],
            let secret = ProcessInfo.processInfo.environment["HUBSPOT_CLIENT_SECRET"]
        else { throw Unmeasurable("ADMIN_API_KEY and HUBSPOT_CLIENT_SECRET are the service's") }
        let database = try MongoDatabase(MongoSettings(uri: mongodb))
        var run = MacroRun(
            port: port, service: service, mongod: mongod, uri: mongodb, contacts: contacts, key: key, secret: secret, database: database)
        print(Table.head)
        try await run.memory("memory, idle", atMost: 45)
        if only.contains(.syncs) {
            try await run.syncs()
            try await run.memory("memory after full syncs", atMost: 100)
        }
        if only.contains(.webhooks) { try await run.webhooks() }
        // Last: for a minute after a read the mirror is watched for changes, which takes MongoDB's time from what follows.
        if only.contains(.reads) { try await run.reads() }
        if let json { try run.table.write(to: json) }
        await database.shutDown()
    }
}

struct MacroRun {
    let port: Int, service: Int, mongod: Int
    let uri: String
    let contacts: Int
    let key: String, secret: String
    let database: MongoDatabase
    var table = Table()

    private static let raw = "benchmark_raw", rawInbox = "benchmark_inbox"

    // MARK: Full syncs

    mutating func syncs() async throws {
        let first = try await sync()
        let documents = try await mirrored()
        let count = Double(contacts)
        let rawInsert = try await rawInsert(documents)
        table.add("first full sync: service CPU", [first.service / count * 1e6], "µs a record", .atMost(12.5))
        table.add("first full sync", [count / first.seconds], raw: [count / rawInsert], "records/s", .ratioAtLeast(0.75))

        let unchanged = try await sync()
        let before = ownCPU()
        let rawVersions = try checked(baseline_versions(uri, "contacts", documents, contacts, 1000))
        let rawVersionsCPU = ownCPU() - before
        let rawUpserts = try checked(baseline_update(uri, MacroRun.raw, documents, contacts, 1000, true))
        let rawWalk = try await self.rawWalk() + rawVersionsCPU
        table.add("unchanged full sync: service CPU", [unchanged.service / count * 1e6], "µs a record", .atMost(12.5))
        table.add("the same beside a raw walk with version reads", [unchanged.service / count * 1e6], raw: [rawWalk / count * 1e6], "µs a record", .ratioAtMost(2))
        table.add("unchanged full sync: mongod CPU", [unchanged.mongod / count * 1e6], "µs a record", .atMost(40))
        table.add("unchanged full sync, beside raw $set upserts", [count / unchanged.seconds], raw: [count / rawUpserts], "records/s", .ratioAtLeast(3))
        table.add("unchanged full sync, beside raw version reads", [count / unchanged.seconds], raw: [count / rawVersions], "records/s")

        try await setCompression(true)
        let packed = try await sync()
        let rawPacked = try await self.rawWalk() + rawVersionsCPU
        try await setCompression(false)
        table.add("the same with gzip: service CPU", [packed.service / count * 1e6], raw: [rawPacked / count * 1e6], "µs a record", .atMost(25))

        var changedRate: [Double] = [], changedCPU: [Double] = [], rawRate: [Double] = []
        for _ in 0..<3 {
            // Every stored version becomes older than HubSpot's.
            _ = try await database.run {
                try $0.updateMany([:], update: ["$set": ["hubspotUpdatedAt": .date(0), "contentHash": .int64(0)]], in: "contacts")
            }
            try await writeOut()
            let changed = try await sync()
            changedRate.append(count / changed.seconds)
            changedCPU.append(changed.service / count * 1e6)
            try await writeOut()
            rawRate.append(count / (try checked(baseline_update(uri, MacroRun.raw, documents, contacts, 1000, false))))
        }
        table.add("all changed: service CPU", changedCPU, "µs a record")
        table.add("all changed", changedRate, raw: rawRate, "records/s", .ratioAtLeast(0.9))
    }

    /// Reads the list and makes BSON of it: the seconds of processor time.
    private func rawWalk() async throws -> Double {
        var walked = 0
        let seconds = try checked(baseline_walk(try await listURL(), Macro.token, &walked))
        guard walked == contacts else { throw Unmeasurable("the raw walk found \(walked) records") }
        return seconds
    }

    /// Whether the simulated HubSpot compresses its answers.
    private func setCompression(_ isOn: Bool) async throws {
        var request = URLRequest(url: URL(string: Macro.hubspot + "/_simulator/compression")!)
        request.httpMethod = "POST"
        request.httpBody = Data(#"{"on":\#(isOn)}"#.utf8)
        let (_, response) = try await URLSession.shared.data(for: request)
        guard (response as? HTTPURLResponse)?.statusCode == 200 else { throw Unmeasurable("the simulator cannot switch compression") }
    }

    /// The list as the service asks for it.
    private func listURL() async throws -> String {
        var request = URLRequest(url: URL(string: Macro.hubspot + "/crm/v3/properties/contacts")!)
        request.setValue("Bearer \(Macro.token)", forHTTPHeaderField: "Authorization")
        let (data, _) = try await URLSession.shared.data(for: request)
        let names = ((try JSONSerialization.jsonObject(with: data) as? [String: Any])?["results"] as? [[String: Any]])?.compactMap { $0["name"] as? String }
        return "\(Macro.hubspot)/crm/v3/objects/contacts?limit=100&properties=\((names ?? []).joined(separator: ","))"
    }

    private func ownCPU() -> Double {
        var usage = rusage()
        getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
        return Double(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) + Double(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6
    }

    private struct Cost {
        let seconds: Double, service: Double, mongod: Double
    }

    /// Asked for by the load generator: a `URLSession` takes half of a core while it waits.
    private func sync() async throws -> Cost {
        let before = try cpu(mongod)
        let begin = Int64(Date().timeIntervalSince1970 * 1000)
        let cost = try load([request("POST", "/api/admin/hubspot/sync/contacts", "Content-Length: 0\r\n")], times: 1, connections: 1)
        let mongodCPU = try cpu(mongod) - before
        let synced = try await database.run { try $0.count(MongoQuery(["lastSyncedAt": ["$gte": .date(begin)]]), in: "contacts") }
        guard synced == contacts else { throw Unmeasurable("the sync brought \(synced) records of \(contacts)") }
        return Cost(seconds: cost.seconds, service: cost.service, mongod: mongodCPU)
    }

    /// The mirror's documents, one after the other.
    private func mirrored() async throws -> [UInt8] {
        try await database.run { client in
            var bytes: [UInt8] = []
            try client.find(in: "contacts") { bytes += $0.bytes }
            return bytes
        }
    }

    /// The same documents into a collection with the same indexes.
    private func rawInsert(_ documents: [UInt8]) async throws -> Double {
        try await make(MacroRun.raw, like: "contacts")
        return try checked(baseline_insert(uri, MacroRun.raw, documents, contacts, 1000, 1))
    }

    // MARK: Reads

    mutating func reads() async throws {
        let list = "/api/admin/hubspot/contacts?limit=50"
        let first = try await mirroredIds().first ?? ""
        let tag = try await entityTag(list)
        let rounds = 5
        let pages = try await pages(of: list)
        var ours: [Double] = [], raw: [Double] = [], listCPU: [Double] = [], knownCPU: [Double] = [], oneCPU: [Double] = []
        _ = try load(pages, times: 200, connections: 4)
        for _ in 0..<rounds {
            let cost = try load(pages, times: 1000, connections: 4)
            ours.append(1000 / cost.seconds)
            listCPU.append(cost.service / 1000 * 1e6)
            raw.append(1000 / (try checked(baseline_find(uri, "contacts", "hubspotUpdatedAt", 50, 1000, 4))))
            knownCPU.append(try load([get(list, "If-None-Match: \(tag)\r\n")], times: 2000, connections: 4).service / 2000 * 1e6)
            oneCPU.append(try load([get("/api/admin/hubspot/contacts/\(first)")], times: 2000, connections: 4).service / 2000 * 1e6)
        }
        table.add("list of 50: service CPU", listCPU, "µs a request", .atMost(390))
        table.add("list of 50, beside raw finds", ours, raw: raw, "a second", .ratioAtLeast(0.6))
        table.add("list of 50 that the client has: service CPU", knownCPU, "µs a request", .atMost(65))
        table.add("one record: service CPU", oneCPU, "µs a request")
    }

    /// The requests for the first hundred pages of a list.
    private func pages(of list: String) async throws -> [[UInt8]] {
        var pages = [get(list)]
        var path = list
        while pages.count < 100 {
            var request = URLRequest(url: URL(string: "http://127.0.0.1:\(port)\(path)")!)
            request.setValue("Bearer \(key)", forHTTPHeaderField: "Authorization")
            let (data, _) = try await URLSession.shared.data(for: request)
            guard let after = String(decoding: data.suffix(1000), as: UTF8.self).firstMatch(of: /"after":"([^"]+)"/)?.output.1 else { break }
            path = "\(list)&after=\(after)"
            pages.append(get(path))
        }
        return pages
    }

    private func mirroredIds() async throws -> [String] {
        try await database.run { client in
            var ids: [String] = []
            try client.find(MongoQuery(projection: ["_id": 1], limit: 1), in: "contacts") { if let id = $0["_id"]?.string { ids.append(id) } }
            return ids
        }
    }

    private func entityTag(_ path: String) async throws -> String {
        var request = URLRequest(url: URL(string: "http://127.0.0.1:\(port)\(path)")!)
        request.setValue("Bearer \(key)", forHTTPHeaderField: "Authorization")
        let (_, response) = try await URLSession.shared.data(for: request)
        return (response as? HTTPURLResponse)?.value(forHTTPHeaderField: "ETag") ?? ""
    }

    private func get(_ path: String, _ more: String = "") -> [UInt8] { request("GET", path, more) }

    private func request(_ method: String, _ path: String, _ more: String) -> [UInt8] {
        Array("\(method) \(path) HTTP/1.1\r\nHost: 127.0.0.1:\(port)\r\nAuthorization: Bearer \(key)\r\n\(more)\r\n".utf8)
    }

    // MARK: Webhooks

    mutating func webhooks() async throws {
        // What is done for the records of the events, the mirror's part, is told apart by events that ask for nothing.
        let hundreds = try (0..<1000).map { try webhook(events: 100, number: $0, of: "ticket") }
        let mirrored = try (0..<1000).map { try webhook(events: 100, number: $0) }
        let ones = try (0..<6400).map { try webhook(events: 1, number: $0, of: "ticket") }
        var rate: [Double] = [], requestCPU: [Double] = [], rawRate: [Double] = [], mirroredRate: [Double] = [], mirroredCPU: [Double] = []
        _ = try load(Array(hundreds.prefix(50)), times: 50, connections: 10)
        for _ in 0..<3 {
            try await settle()
            let cost = try load(hundreds, times: hundreds.count, connections: 10)
            rate.append(Double(hundreds.count) * 100 / cost.seconds)
            requestCPU.append(cost.service / Double(hundreds.count) * 1e6)
            try await settle()
            // As many in a batch as there are connections: HubSpot waits for its ten answers.
            rawRate.append(try await rawInbox(of: stored(atLeast: 50), batch: 10, threads: 1) * 100)
            let whole = try load(mirrored, times: mirrored.count, connections: 10)
            mirroredRate.append(Double(mirrored.count) * 100 / whole.seconds)
            mirroredCPU.append(whole.service / Double(mirrored.count) * 1e6)
        }
        table.add("webhooks of 100 events, 10 connections: service CPU", requestCPU, "µs a request", .atMost(350))
        table.add("webhooks of 100 events, beside a raw batch writer", rate, raw: rawRate, "events/s", .ratioAtLeast(0.8))
        table.add("the same of mirrored records, their reading begun: service CPU", mirroredCPU, "µs a request")
        table.add("the same of mirrored records", mirroredRate, "events/s")

        var oneRate: [Double] = [], oneCPU: [Double] = [], rawOne: [Double] = [], p99: [Double] = [], rawMedian: [Double] = []
        for _ in 0..<3 {
            try await settle()
            let cost = try load(ones, times: ones.count, connections: 64)
            oneRate.append(Double(ones.count) / cost.seconds)
            oneCPU.append(cost.service / Double(ones.count) * 1e6)
            try await settle()
            rawOne.append(try await rawInbox(of: stored(atMost: 1), batch: 1, threads: 32))
            try await writeOut()
            p99.append(Table.percentile(try load(ones, times: ones.count, connections: 64, rate: 2000).latencies, 0.99) / 1000)
            try await settle()
            rawMedian.append(1000 / (try await rawInbox(of: stored(atMost: 1, limit: 300), batch: 1, threads: 1)))
        }
        table.add("webhooks of 1 event, 64 connections: service CPU", oneCPU, "µs a request")
        table.add("webhooks of 1 event, 64 connections, beside 32 raw writers", oneRate, raw: rawOne, "events/s", .ratioAtLeast(3))
        table.add("webhooks of 1 event, 64 connections, 2,000 a second: p99, beside one raw durable insert", p99, raw: rawMedian, "ms", .ratioAtMost(10))
    }

    /// Inserts deliveries into a collection with the inbox's indexes, durably.
    ///
    /// - Returns: deliveries a second.
    private func rawInbox(of deliveries: (bytes: [UInt8], count: Int), batch: Int, threads: Int32) async throws -> Double {
        try await make(MacroRun.rawInbox, like: "inbox")
        return Double(deliveries.count) / (try checked(baseline_insert(uri, MacroRun.rawInbox, deliveries.bytes, deliveries.count, batch, threads)))
    }

    private func webhook(events: Int, number: Int, of type: String = "contact") throws -> [UInt8] {
        let body = Samples.body(events, from: number * events, of: type)
        let url = "http://127.0.0.1:\(port)/api/webhooks/hubspot"
        let now = String(Int64(Date().timeIntervalSince1970 * 1000))
        let tag = try MessageAuthenticator(key: Array(secret.utf8)).tag(for: Array("POST\(url)".utf8) + body + Array(now.utf8))
        let head = "POST /api/webhooks/hubspot HTTP/1.1\r\nHost: 127.0.0.1:\(port)\r\nContent-Type: application/json\r\n"
            + "X-HubSpot-Signature-v3: \(Data(tag).base64EncodedString())\r\nX-HubSpot-Request-Timestamp: \(now)\r\nContent-Length: \(body.count)\r\n\r\n"
        return Array(head.utf8) + body
    }

    /// Has MongoDB bring to disk what the scenarios before have written, so that this one does not wait for it; nor for the removal of
    /// journal files that are of no more use, for which MongoDB looks once a second.
    private func writeOut() async throws {
        _ = try await database.database(named: "admin").run { try $0.command(["fsync": 1]) }
        try await Task.sleep(for: .seconds(2))
    }

    /// Waits until nothing is left to do for the deliveries that were accepted.
    private func settle() async throws {
        let begin = ContinuousClock.now
        while try await database.run({ try $0.count(MongoQuery(["state": "pending"]), in: "inbox") }) > 0 {
            guard ContinuousClock.now - begin < .seconds(120) else { throw Unmeasurable("the deliveries are not worked off") }
            try await Task.sleep(for: .milliseconds(50))
        }
    }

    /// Documents of the inbox by their number of events, one after the other.
    private func stored(atLeast least: Int = 0, atMost most: Int = .max, limit: Int = 1000) async throws -> (bytes: [UInt8], count: Int) {
        try await database.run { client in
            var bytes: [UInt8] = []
            var count = 0
            try client.find(MongoQuery(limit: 20_000), in: "inbox") { document in
                let events = document["events"]?.array?.count ?? 0
                guard events >= least, events <= most, count < limit else { return }
                bytes += document.bytes
                count += 1
            }
            return (bytes, count)
        }
    }

    /// Makes an empty collection with the indexes of another; what it held before goes.
    private func make(_ collection: String, like other: String) async throws {
        try await database.run { client in
            _ = try? client.command(["drop": .string(collection)])  // An error when there is none.
            let indexes = try client.command(["listIndexes": .string(other)])["cursor"]?.document?["firstBatch"]?.array ?? []
            _ = try client.command([
                "createIndexes": .string(collection), "indexes": .array(indexes.filter { $0.document?["name"]?.string != "_id_" }),
            ])
        }
    }

    // MARK: Load and cost

    private struct Load {
        let seconds: Double, service: Double
        let latencies: [Double]
    }

    /// - Parameter rate: requests a second; 0 for as many as there can be.
    private func load(_ requests: [[UInt8]], times: Int, connections: Int, rate: Double = 0) throws -> Load {
        let pinned = requests.map { request in
            let copy = UnsafeMutablePointer<UInt8>.allocate(capacity: request.count)
            copy.initialize(from: request, count: request.count)
            return baseline_request(bytes: copy, length: request.count)
        }
        defer { for request in pinned { request.bytes.deallocate() } }
        let all = (0..<times).map { pinned[$0 % pinned.count] }
        var latencies = [Double](repeating: 0, count: times)
        var refused = 0
        let before = try cpu(service)
        let seconds = try checked(baseline_load(Int32(port), all, times, Int32(connections), rate, &latencies, &refused))
        guard refused == 0 else { throw Unmeasurable("\(refused) of \(times) requests were refused") }
        return Load(seconds: seconds, service: try cpu(service) - before, latencies: latencies)
    }

    private func checked(_ seconds: Double) throws -> Double {
        guard seconds > 0 else { throw Unmeasurable("a raw program failed") }
        return seconds
    }

    /// Seconds of processor time that a process has used.
    private func cpu(_ process: Int) throws -> Double {
        let text = try String(contentsOfFile: "/proc/\(process)/stat", encoding: .utf8)
        let fields = text[(text.lastIndex(of: ")") ?? text.startIndex)...].split(separator: " ")
        guard fields.count > 13, let user = Double(fields[12]), let system = Double(fields[13]) else {
            throw Unmeasurable("the processor time of \(process) cannot be read")
        }
        return (user + system) / 100
    }

    mutating func memory(_ name: String, atMost most: Double) async throws {
        let text = try String(contentsOfFile: "/proc/\(service)/status", encoding: .utf8)
        guard let line = text.split(separator: "\n").first(where: { $0.hasPrefix("VmHWM:") }),
            let kilobytes = Double(line.filter(\.isNumber))
        else { throw Unmeasurable("the memory of \(service) cannot be read") }
        table.add(name, [kilobytes / 1000], "MB at most", .atMost(most))
    }
}
