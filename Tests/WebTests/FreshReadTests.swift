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

/// How old an answer is, when it is too old, and what is answered while one side is away.
@Suite(.scratchDatabase, .timeLimit(.minutes(2))) struct FreshReadTests {
    static let base = "/api/admin/hubspot"

    // MARK: Age and tag

    @Test func theAgeIsThatOfTheOldestRecordShown() async throws {
        try await Site.use { site in
            let now = Timestamp.now
            try await site.bench.store.writer.write([.sample(id: "1", updatedAt: 3)], of: .contacts, at: now - .seconds(500))
            try await site.bench.store.writer.write([.sample(id: "2", updatedAt: 2)], of: .contacts, at: now - .seconds(90_000))
            func age(_ target: String) async throws -> Int {
                let text = try await site.send("GET", Self.base + target).headers["X-Mirror-Age"]
                return try #require(text.flatMap { Int($0) })
            }
            #expect((500...600).contains(try await age("/contacts/1")))
            #expect((500...600).contains(try await age("/contacts?limit=1")))
            #expect((90_000...90_100).contains(try await age("/contacts")))
            // Nothing is shown, and of a document that another program wrote nothing is known.
            #expect(try await site.send("GET", "\(Self.base)/deals").headers["X-Mirror-Age"] == nil)
            try await ScratchDatabase.current.run { client in
                _ = try client.updateOne(
                    ["_id": "5"], update: ["$set": ["archived": false, "hubspotId": "5", "hubspotUpdatedAt": 7]], upsert: true, in: "contacts")
            }
            let foreign = try await site.bench.driver.send(
                .init(url: "\(site.url)\(Self.base)/contacts", headers: [("Authorization", "Bearer \(Site.key)")]))
            #expect(foreign.status == 200 && foreign.headers["X-Mirror-Age"] == nil)
        }
    }

    @Test(arguments: ["/contacts/1", "/contacts?limit=2", "/contacts?q=an&sort=email"])
    func whoHasTheContentGetsNoneAgain(target: String) async throws {
        try await Site.use { site in
            let writer = site.bench.store.writer
            func write(_ email: String, _ version: Int64) async throws {
                try await writer.write(
                    [.sample(id: "1", updatedAt: version, fields: ["email": .text(email)], properties: ["email": email])], of: .contacts, at: .now)
            }
            try await write("ann@example.org", 1)
            let first = try await site.send("GET", Self.base + target)
            let tag = try #require(first.headers["ETag"])
            #expect(tag.wholeMatch(of: /W\/"[0-9a-f]{16}"/) != nil)
            for known in [tag, "\"x\", \(tag)", "W/\"y\",\(tag) , \"z\"", String(tag.dropFirst(2)), "*"] {
                for method in ["GET", "HEAD"] {
                    let again = try await site.send(method, Self.base + target, [("If-None-Match", known)])
                    #expect(again.status == 304 && again.body.isEmpty && again.headers["ETag"] == tag, "\(known)")
                    #expect(again.headers["X-Mirror-Age"] != nil && again.headers["Content-Type"] == nil && again.headers["Content-Length"] == nil)
                }
            }
            for other in ["\"x\"", "W/\"0000000000000000\"", String(tag.dropLast(2)), ""] {
                #expect(try await site.send("GET", Self.base + target, [("If-None-Match", other)]).status == 200, "\(other)")
            }
            try await write("anna@example.org", 2)
            let changed = try await site.send("GET", Self.base + target, [("If-None-Match", tag)])
            #expect(changed.status == 200 && changed.headers["ETag"] != tag && changed.text.contains("anna@example.org"))
            // What HubSpot answers is another at each reading.
            #expect(try await site.send("GET", "\(Self.base)/contacts?useSync=false").headers["ETag"] == nil)
        }
    }

    /// While nothing changes, who has the content is told so without a look into MongoDB.
    @Test(arguments: ["/contacts/1", "/contacts?limit=2"]) func whatHasNotChangedIsNotReadAgain(target: String) async throws {
        try await Site.use { site in
            let database = ScratchDatabase.current
            func write(_ email: String, _ version: Int64) async throws {
                try await site.bench.store.writer.write(
                    [.sample(id: "1", updatedAt: version, fields: ["email": .text(email)], properties: ["email": email])], of: .contacts, at: .now)
            }
            try await write("ann@example.org", 1)
            try await eventually { site.bench.store.watch.revision != nil }
            let tag = try #require(try await site.send("GET", Self.base + target).headers["ETag"])
            _ = try await database.run { try $0.command(["profile": 2]) }
            for _ in 0..<20 { #expect(try await site.send("GET", Self.base + target, [("If-None-Match", tag)]).status == 304) }
            _ = try await database.run { try $0.command(["profile": 0]) }
            let reads = try await database.run {
                try $0.count(MongoQuery(["ns": .string("\(database.name).contacts")]), in: "system.profile")
            }
            #expect(reads == 0)
            try await write("anna@example.org", 2)
            #expect(try await site.send("GET", Self.base + target, [("If-None-Match", tag)]).text.contains("anna@example.org"))
        }
    }

    /// The records of a page may be the same while their number is not.
    @Test func aTagIsOfTheWholeAnswer() async throws {
        try await Site.use { site in
            let at = Timestamp.now
            try await site.bench.store.writer.write([.sample(.deals, id: "1", updatedAt: 9)], of: .deals, at: at)
            let alone = try await site.send("GET", "\(Self.base)/deals?limit=1").headers["ETag"]
            try await site.bench.store.writer.write([.sample(.deals, id: "2", updatedAt: 1)], of: .deals, at: at)
            #expect(try await site.send("GET", "\(Self.base)/deals?limit=1").headers["ETag"] != alone)
        }
    }

    // MARK: Younger than

    @Test func aRecordThatIsTooOldIsReadFirst() async throws {
        try await Site.use { site in
            try await site.sync("contacts")
            let world = site.bench.simulator.world
            let id = world.seededId(.contacts, 4)
            try world.update(.contacts, id, ["email": "new@example.org"])
            let path = "\(Self.base)/contacts/\(id)"
            func email(_ query: String) async throws -> String? {
                let reply = try await site.send("GET", path + query)
                #expect(reply.status == 200 && reply.json["source"] as? String == "mongodb" && reply.json["stale"] == nil)
                return (reply.json["contact"] as? [String: Any])?["email"] as? String
            }
            #expect(try await email("") != "new@example.org")
            site.bench.simulator.resetCalls()
            #expect(try await email("?maxAge=1h") != "new@example.org")
            #expect(site.bench.simulator.callCount == 0)
            #expect(try await email("?maxAge=0") == "new@example.org")
            #expect(try await email("") == "new@example.org")
            // And what the mirror never had.
            let made = try world.create(.deals, ["dealname": "Fresh"])
            #expect(try await site.send("GET", "\(Self.base)/deals/\(made)").status == 404)
            #expect(try await site.send("GET", "\(Self.base)/deals/\(made)?maxAge=30s").status == 200)
            for bad in ["30", "-1s", "1w", "soon", "1.5s", "99999999999999999999s"] {
                let reply = try await site.send("GET", "\(path)?maxAge=\(bad)")
                #expect(reply.isError(400, "bad_parameter") && (reply.json["error"] as? String)?.hasPrefix("maxAge must be ") == true)
            }
        }
    }

    @Test func whoAsksAtTheSameTimeSharesOneReading() async throws {
        try await Site.use(account: { $0.latency = .milliseconds(300) }) { site in
            try await site.sync("contacts")
            let id = site.bench.simulator.world.seededId(.contacts, 4)
            site.bench.simulator.resetCalls()
            try await withThrowingTaskGroup(of: Int.self) { group in
                for _ in 0..<20 { group.addTask { try await site.send("GET", "\(Self.base)/contacts/\(id)?maxAge=0").status } }
                for try await status in group { #expect(status == 200) }
            }
            // Those who came too late for one reading shared the next.
            #expect((1...4).contains(site.bench.simulator.calls["POST objects/contacts/batch/read"]?[200] ?? 0))
        }
    }

    /// A reading that was under way before the write does not count.
    @Test func aRefreshShowsWhatWasWrittenBefore() async throws {
        try await Site.use(account: { $0.latency = .milliseconds(50) }) { site in
            try await site.sync("contacts")
            let world = site.bench.simulator.world
            let id = world.seededId(.contacts, 4)
            for number in 0..<3 {
                site.bench.simulator.resetCalls()
                async let other = site.send("POST", "\(Self.base)/contacts/\(id)/refresh")
                // It has read the record, and goes on to the associations.
                try await eventually { site.bench.simulator.calls["POST objects/contacts/batch/read"] != nil }
                try world.update(.contacts, id, ["jobtitle": "title \(number)"])
                let reply = try await site.send("POST", "\(Self.base)/contacts/\(id)/refresh")
                #expect((reply.json["contact"] as? [String: Any])?["jobTitle"] as? String == "title \(number)")
                #expect(try await other.status == 200)
            }
        }
    }

    @Test func aRefreshFindsOutWhatBecameOfARecord() async throws {
        try await Site.use { site in
            try await site.sync("all")
            let world = site.bench.simulator.world
            func refresh(_ type: RecordType, _ id: Int64) async throws -> Reply { try await site.send("POST", "\(Self.base)/\(type.rawValue)/\(id)/refresh") }
            let company = world.seededId(.companies, 3), contact = world.seededId(.contacts, 9), deal = world.seededId(.deals, 2)
            try world.associate(.deals, deal, .companies, company)
            #expect(try await refresh(.deals, deal).status == 200)
            let mirrored = try #require(try await site.bench.store.mirror.record(.deals, "\(deal)"))
            #expect(mirrored["associations"]?.document?["companies"]?.array?.contains(.string("\(company)")) == true)
            try world.archive(.companies, company)
            #expect((try await refresh(.companies, company).json["company"] as? [String: Any])?["archived"] as? Bool == true)
            try world.gdprDelete(contact)
            #expect(try await refresh(.contacts, contact).isError(404, "not_found"))
            #expect(try await site.bench.store.mirror.record(.contacts, "\(contact)") == nil)
            for id in ["x", "999999999999"] { #expect(try await site.send("POST", "\(Self.base)/contacts/\(id)/refresh").isError(404, "not_found")) }
            #expect(try await site.sendOpenly("POST", "\(Self.base)/deals/\(deal)/refresh").status == 401)
            #expect(try await site.send("GET", "\(Self.base)/deals/\(deal)/refresh").status == 405)
        }
    }

    // MARK: Merged

    @Test(arguments: [false, true]) func anOldIdLeadsToTheSurvivor(isKnown: Bool) async throws {
        try await Site.use { site in
            try await site.sync("contacts")
            let world = site.bench.simulator.world
            let ids = (1...3).map { world.seededId(.contacts, $0) }
            let second = try world.merge(.contacts, primary: ids[0], other: ids[1])
            if isKnown { #expect(try await site.send("POST", "\(Self.base)/contacts/\(ids[1])/refresh").status == 200) }
            let last = try world.merge(.contacts, primary: second, other: ids[2])
            for id in ids + [second] {
                let reply = try await site.send("POST", "\(Self.base)/contacts/\(id)/refresh")
                #expect(reply.status == 200, "\(id): \(reply.text)")
            }
            for id in ids + [second] {
                for query in ["", "?useSync=false", "?maxAge=0"] {
                    let reply = try await site.send("GET", "\(Self.base)/contacts/\(id)\(query)")
                    #expect(reply.status == 200 && reply.json["mergedInto"] as? String == "\(last)", "\(id)\(query): \(reply.text.prefix(200))")
                    #expect((reply.json["contact"] as? [String: Any])?["hubspotId"] as? String == "\(last)")
                }
            }
            #expect(try await site.send("GET", "\(Self.base)/contacts/\(last)").json["mergedInto"] == nil)
        }
    }

    // MARK: Away

    /// While MongoDB is away only the first read waits for the driver's time-out, and its return is found by itself.
    @Test func anOutageOfMongoDBIsWaitedForOnce() async throws {
        let server = try await MongoServer.start()
        let timeout = Duration.seconds(4)
        let database = try MongoDatabase(
            MongoSettings(uri: server.uri("away", options: "&serverSelectionTimeoutMS=4000"), threads: 4))
        try await Site.use(database: database) { site in
            try await site.bench.store.prepare()
            try await site.sync("deals")
            #expect(try await site.send("GET", "\(Self.base)/deals?limit=1").json["source"] as? String == "mongodb")
            await server.stop()
            let clock = ContinuousClock()
            let first = try await clock.measureWithResult { try await site.send("GET", "\(Self.base)/deals?limit=1") }
            #expect(first.result.json["fallback"] as? Bool == true)
            var quick = 0
            for _ in 0..<10 {
                let next = try await clock.measureWithResult { try await site.send("GET", "\(Self.base)/deals?limit=1") }
                #expect(next.result.json["fallback"] as? Bool == true)
                if next.time < timeout { quick += 1 }
            }
            #expect(quick == 10)
            try await server.resume()
            try await eventually { try await site.send("GET", "\(Self.base)/deals?limit=1").json["source"] as? String == "mongodb" }
        }
        await database.shutDown()
        await server.stop()
    }

    @Test func anOutageOfHubSpotIsToldAtOnce() async throws {
        try await Site.use { site in
            try await site.sync("deals")
            let id = site.bench.simulator.world.seededId(.deals, 1)
            site.bench.simulator.faults.down = true
            #expect(try await site.send("GET", "\(Self.base)/deals?useSync=false").isError(502, "hubspot_unreachable"))
            site.bench.simulator.resetCalls()
            let targets = ["GET /deals?useSync=false", "GET /deals/\(id)?useSync=false", "POST /deals/\(id)/refresh", "GET /owners?useSync=false"]
            for target in targets {
                let parts = target.split(separator: " ")
                let reply = try await site.send(String(parts[0]), Self.base + parts[1])
                #expect(reply.isError(503, "hubspot_unreachable") && reply.headers["Retry-After"] == "1", "\(target): \(reply.text)")
            }
            // Only looks, and no more than one every pause.
            #expect(site.bench.simulator.calls.keys.allSatisfy { !$0.contains("objects") && !$0.contains("owners") }, "\(site.bench.simulator.calls)")
            // What the mirror has is better than nothing, and says what it is.
            let old = try await site.send("GET", "\(Self.base)/deals/\(id)?maxAge=0")
            #expect(old.status == 200 && old.json["stale"] as? Bool == true && old.headers["X-Mirror-Age"] != nil)
            site.bench.simulator.faults.down = false
            try await eventually { try await site.send("GET", "\(Self.base)/deals?useSync=false").status == 200 }
            #expect(try await site.send("GET", "\(Self.base)/deals/\(id)?maxAge=0").json["stale"] == nil)
        }
    }
}

extension ContinuousClock {
    fileprivate func measureWithResult<R>(_ body: () async throws -> R) async rethrows -> (result: R, time: Duration) {
        let start = now
        let result = try await body()
        return (result, now - start)
    }
}
