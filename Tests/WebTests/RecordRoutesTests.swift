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

@Suite(.scratchDatabase, .timeLimit(.minutes(2))) struct RecordRoutesTests {
    static let base = "/api/admin/hubspot"

    @Test(arguments: RecordType.allCases) func aRecordIsTheSameFromBothSources(type: RecordType) async throws {
        try await Site.use { site in
            try await site.sync(type.rawValue)
            let sorted = "\(Self.base)/\(type.rawValue)?limit=1000"
            let mirrored = try await site.send("GET", sorted), live = try await site.send("GET", sorted + "&useSync=false")
            #expect(mirrored.json["source"] as? String == "mongodb" && mirrored.json["synced"] as? Bool == true)
            #expect(live.json["source"] as? String == "hubspot" && live.json["synced"] as? Bool == false)
            #expect(mirrored.json["total"] as? Int == live.json["total"] as? Int)
            #expect(mirrored.ids(type).count > 20 && withoutTimes(mirrored.records(type)) == withoutTimes(live.records(type)))
            let path = "\(Self.base)/\(type.rawValue)/\(mirrored.ids(type)[7])"
            let one = try await site.send("GET", path), other = try await site.send("GET", path + "?useSync=false")
            let record = try #require(one.json[type.singular] as? [String: Any])
            #expect(one.status == 200 && record["hubspotId"] as? String == mirrored.ids(type)[7])
            #expect(withoutTimes([record]) == withoutTimes([try #require(other.json[type.singular] as? [String: Any])]))
            // The same members in the same order: the texts differ in the time and the source only.
            func form(_ reply: Reply) -> String {
                reply.text.replacing(/"lastSyncedAt":"[^"]*"/, with: "").replacing(/"source":"[a-z]*","synced":(true|false)/, with: "")
            }
            #expect(form(one) == form(other))
        }
    }

    /// By id, since records of one instant have no order.
    private func withoutTimes(_ records: [[String: Any]]) -> [NSDictionary] {
        records.sorted { "\($0["hubspotId"] ?? "")" < "\($1["hubspotId"] ?? "")" }
            .map { record in NSDictionary(dictionary: record.filter { $0.key != "lastSyncedAt" }) }
    }

    @Test(arguments: ["", "&useSync=false"], ["sort=-updatedAt&limit=37", "sort=email&limit=100", "sort=-createdAt&limit=249"])
    func pagingVisitsEveryRecordOnce(source: String, query: String) async throws {
        try await Site.use { site in
            if source.isEmpty { try await site.sync("contacts") }
            let ids = try await site.all(.contacts, query + source).compactMap { $0["hubspotId"] as? String }
            #expect(ids.count == 250 && Set(ids) == Set(site.bench.simulator.world.ids(.contacts).map(String.init)))
        }
    }

    @Test func pagesAreAsLongAsAskedAndFiftyOrAHundredOtherwise() async throws {
        try await Site.use(account: { $0.deals = 130; $0.companies = 60 }) { site in
            try await site.sync("all")
            for (type, count) in [(RecordType.contacts, 50), (.companies, 50), (.deals, 100)] {
                for source in ["", "?useSync=false"] {
                    let reply = try await site.send("GET", "\(Self.base)/\(type.rawValue)\(source)")
                    #expect(reply.records(type).count == count && reply.next != nil)
                }
            }
            #expect(try await site.send("GET", "\(Self.base)/deals?limit=1").records(.deals).count == 1)
            let all = try await site.send("GET", "\(Self.base)/deals?limit=1000")
            #expect(all.records(.deals).count == 130 && all.next == nil && (all.json["paging"] as? [String: Any])?.isEmpty == true)
        }
    }

    @Test func filtersFindWhatTheyName() async throws {
        try await Site.use { site in
            let world = site.bench.simulator.world
            let john = "\(try world.create(.contacts, ["firstname": "Jo Anne", "lastname": "O'Neill", "email": "plus+one@example.org"]))"
            try await site.sync("all")
            let gone = world.seededId(.contacts, 3)
            let old = Timestamp.now - .seconds(3600)
            try await site.bench.store.writer.write(
                [.sample(id: "77", updatedAt: 77, archived: true), .sample(id: "78", updatedAt: 78)], of: .contacts, at: old)
            try await site.bench.store.writer.recordFailure(.contacts, "\(gone)", message: "<b>no</b>")
            try await site.bench.store.writer.markStale(olderThan: old + .seconds(1))
            func ids(_ query: String) async throws -> [String] { try await site.send("GET", "\(Self.base)/contacts?\(query)").ids(.contacts) }
            for q in ["Jo+Anne", "jo%20anne", "JO%20A", "plus%2Bone%40", "o%27neill"] { #expect(try await ids("q=\(q)") == [john], "\(q)") }
            #expect(try await ids("syncStatus=pending") == ["78"])
            #expect(try await ids("syncStatus=error") == ["\(gone)"])
            #expect(try await ids("archived=true") == ["77"])
            #expect(try await ids("syncStatus=synced&limit=1000").count == 250)
            let newest = try #require(world.records(.contacts).map(\.updatedAt).max())
            for instant in ["\(newest - 1)", Timestamp(milliseconds: newest - 1).iso8601, shifted(newest - 1)] {
                #expect(try await ids("updatedAfter=\(instant)") == [john], "\(instant)")
            }
            #expect(try await ids("updatedAfter=\(newest)") == [])
            let failed = try await site.send("GET", "\(Self.base)/contacts/\(gone)").json["contact"] as? [String: Any]
            #expect(failed?["syncStatus"] as? String == "error" && failed?["syncError"] as? String == "<b>no</b>")
        }
    }

    /// The instant in a zone east of Greenwich, with a plus that nobody encoded.
    private func shifted(_ milliseconds: Int64) -> String { Timestamp(milliseconds: milliseconds + 3_600_000).iso8601.dropLast() + "+01:00" }

    @Test func propertiesAreShownAsAsked() async throws {
        try await Site.use { site in
            try await site.sync("deals")
            for source in ["", "&useSync=false"] {
                let some = try await site.send("GET", "\(Self.base)/deals?limit=2&properties=amount,dealname,nonsense\(source)").records(.deals)
                #expect(some.allSatisfy { Set((($0["properties"] as? [String: Any]) ?? [:]).keys) == ["amount", "dealname"] })
                #expect(some.allSatisfy { $0["dealStage"] != nil })
                let all = try await site.send("GET", "\(Self.base)/deals?limit=2\(source)").records(.deals)
                let names = Set(site.bench.simulator.world.propertyNames(.deals))
                #expect(all.allSatisfy { Set((($0["properties"] as? [String: Any]) ?? [:]).keys) == names })
            }
        }
    }

    // MARK: What is refused

    @Test(arguments: [
        "limit=0", "limit=-1", "limit=1001", "limit=ten", "limit=1e2", "limit=%2B1", "limit=99999999999999999999", "sort=$where", "sort=name",
        "sort=--updatedAt", "sort=-", "sort=properties.email", "sort=_id", "syncStatus=$ne", "syncStatus=Synced", "archived=maybe", "useSync=2",
        "updatedAfter=yesterday", "updatedAfter=2026-13-01", "updatedAfter=%7B%22$gt%22:0%7D", "after=x", "after=%7B%22$gt%22:%22%22%7D", "after=AAAA",
    ])
    func aBadValueIsRefusedByName(query: String) async throws {
        try await Site.use { site in
            let name = query.prefix { $0 != "=" }
            for source in ["", "&useSync=false"] where name != "useSync" || source.isEmpty {
                let reply = try await site.send("GET", "\(Self.base)/contacts?\(query)\(source)")
                #expect(reply.status == 400 && ["bad_parameter", "cursor_of_other_source"].contains(reply.code), "\(reply.text)")
                #expect((reply.json["error"] as? String)?.hasPrefix("\(name) must be ") == true, "\(reply.text)")
            }
        }
    }

    /// Nothing that a parameter holds is an operator, a pattern or code.
    @Test(arguments: [
        ("limit[$gt]=1", 250), ("limit%5B%24gt%5D=1", 250), ("archived[$ne]=false", 250), ("$where=sleep(1000)", 250), ("unknown=1&unknown=2", 250),
        ("q=.*", 0), ("q=%5E", 0), ("q=$", 0), ("q=%7B%22$ne%22:1%7D", 0), ("q[$ne]=x", 250), ("q=%F0%28%8C%28", 0), ("q=", 250),
        ("syncStatus=", 250), ("limit=", 250), ("q=" + String(repeating: "a", count: 4000), 0), ("properties=$where,__proto__", 250),
    ])
    func nothingInAParameterIsAnOperator(query: String, total: Int) async throws {
        try await Site.use { site in
            try await site.sync("contacts")
            let reply = try await site.send("GET", "\(Self.base)/contacts?\(query)")
            #expect(reply.status == 200 && reply.json["total"] as? Int == total, "\(reply.text.prefix(300))")
        }
    }

    @Test(arguments: ["x", "$ne", "1.5", "-1", "..", "%2e%2e", "%31", "1%00", "%7B%22$gt%22:%22%22%7D", "123456789012345678901", "_id", "٣", "999999999999"])
    func aRecordThatCannotExistIsNotFound(id: String) async throws {
        try await Site.use { site in
            try await site.sync("contacts")
            let id = id.addingPercentEncoding(withAllowedCharacters: .urlPathAllowed.union(.init(charactersIn: "%"))) ?? id
            for source in ["", "?useSync=false"] {
                #expect(try await site.send("GET", "\(Self.base)/contacts/\(id)\(source)").isError(404, "not_found"))
            }
        }
    }

    @Test func aCursorBelongsToItsQueryAndSource() async throws {
        try await Site.use { site in
            try await site.sync("contacts")
            let own = try #require(try await site.send("GET", "\(Self.base)/contacts?limit=5").next)
            let live = try #require(try await site.send("GET", "\(Self.base)/contacts?limit=5&useSync=false").next)
            #expect(try await site.send("GET", "\(Self.base)/contacts?after=\(own)&sort=email").isError(400, "bad_parameter"))
            #expect(try await site.send("GET", "\(Self.base)/contacts?after=\(live)&sort=email").isError(400, "bad_parameter"))
            // As after an outage of MongoDB: the list goes on where it began.
            let rest = try await site.send("GET", "\(Self.base)/contacts?after=\(live)")
            #expect(rest.status == 200 && rest.json["fallback"] as? Bool == true)
            let asked = try await site.send("GET", "\(Self.base)/contacts?after=\(live)&useSync=false")
            #expect(rest.ids(.contacts) == asked.ids(.contacts) && asked.json["fallback"] == nil)
            #expect(try await site.send("GET", "\(Self.base)/contacts?after=\(own)&useSync=false").isError(400, "cursor_of_other_source"))
            #expect(try await site.send("GET", "\(Self.base)/contacts?after=\(live)&sort=email&useSync=false").isError(400, "bad_parameter"))
        }
    }

    // MARK: Without the one or the other

    @Test func withoutMongoDBHubSpotAnswers() async throws {
        var cursor = ""
        try await Site.use { site in
            try await site.sync("contacts")
            cursor = try #require(try await site.send("GET", "\(Self.base)/contacts?limit=5").next)
        }
        try await Site.use(database: try .away()) { site in
            for type in RecordType.allCases {
                let list = try await site.send("GET", "\(Self.base)/\(type.rawValue)?limit=3")
                #expect(list.status == 200 && list.records(type).count == 3)
                let one = try await site.send("GET", "\(Self.base)/\(type.rawValue)/\(list.ids(type)[0])")
                for reply in [list, one] {
                    #expect(reply.json["source"] as? String == "hubspot" && reply.json["synced"] as? Bool == false && reply.json["fallback"] as? Bool == true)
                }
            }
            let asked = try await site.send("GET", "\(Self.base)/deals?useSync=false")
            #expect(asked.status == 200 && asked.json["fallback"] == nil)
            // Not an empty list, which would say that nothing failed; and a page of the mirror's can be asked for again.
            let failed = try await site.send("GET", "\(Self.base)/contacts?syncStatus=error")
            #expect(failed.isError(503, "mongodb_unreachable") && failed.headers["Retry-After"] == "2")
            #expect(try await site.send("GET", "\(Self.base)/contacts?limit=5&after=\(cursor)").isError(503, "mongodb_unreachable"))
            #expect(try await site.send("GET", "\(Self.base)/contacts?after=%7B").isError(400, "bad_parameter"))
            let first = try #require(try await site.send("GET", "\(Self.base)/contacts?limit=5").next)
            #expect(try await site.send("GET", "\(Self.base)/contacts?limit=5&after=\(first)").json["fallback"] as? Bool == true)
            site.bench.simulator.faults.down = true
            #expect(try await site.send("GET", "\(Self.base)/deals").isError(502, "hubspot_unreachable"))
        }
    }

    @Test func withoutHubSpotTheMirrorAnswers() async throws {
        try await Site.use { site in
            try await site.sync("contacts")
            site.bench.simulator.faults.down = true
            #expect(try await site.send("GET", "\(Self.base)/contacts").records(.contacts).count == 50)
            #expect(try await site.send("GET", "\(Self.base)/contacts?useSync=false").isError(502, "hubspot_unreachable"))
            site.bench.simulator.faults.down = false
            site.bench.simulator.token = "another"
            // As soon as a look at HubSpot has found an answer, be it a refusal.
            try await eventually { try await site.send("GET", "\(Self.base)/contacts?useSync=false").status == 502 }
            #expect(try await site.send("GET", "\(Self.base)/contacts?useSync=false").isError(502, "hubspot_unauthorized"))
            site.bench.simulator.token = site.bench.simulator.settings.token
            site.bench.simulator.missingScopes = ["crm.objects.contacts.read"]
            #expect(try await site.send("GET", "\(Self.base)/contacts?useSync=false").isError(502, "hubspot_missing_scopes"))
        }
    }

    /// A document that some other program wrote must not break the page that it is on.
    @Test func aForeignDocumentIsShownAsFarAsItGoes() async throws {
        try await Site.use { site in
            try await ScratchDatabase.current.run { client in
                _ = try client.bulk([
                    .updateOne(["_id": "5"], update: ["$set": ["archived": false, "hubspotId": "5", "hubspotUpdatedAt": 7, "email": ["a": 1]]], upsert: true)
                ], in: "contacts")
            }
            let reply = try await site.bench.driver.send(
                .init(url: "\(site.url)\(Self.base)/contacts", headers: [("Authorization", "Bearer \(Site.key)")]))
            #expect(reply.status == 200 && Reply(reply).ids(.contacts) == ["5"])
        }
    }
}
