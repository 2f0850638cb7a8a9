import Foundation
import Model
import Testing

@testable import Simulator

struct RecordTests {
    @Test func aRecordHasTheDocumentedShapeAndTheDefaultProperties() {
        let account = Account()
        let answer = account.get("/crm/objects/2026-09/contacts/\(account.id(20))")
        #expect(answer.status == 200)
        #expect(answer.header("Content-Type") == "application/json;charset=utf-8")
        #expect(answer.header("x-hubspot-correlation-id")?.split(separator: "-").map(\.count) == [8, 4, 4, 4, 12])
        #expect(Set(answer.json.keys) == ["id", "properties", "createdAt", "updatedAt", "archived", "url"])
        #expect(
            Set(answer.properties.keys) == ["createdate", "email", "firstname", "hs_object_id", "lastmodifieddate", "lastname"])
        #expect(answer.json["id"] as? String == String(account.id(20)))
        #expect(answer.json["archived"] as? Bool == false)
        #expect(answer.json["createdAt"] as? String == answer.properties["createdate"] as? String)
        #expect(answer.json["updatedAt"] as? String == answer.properties["lastmodifieddate"] as? String)
    }

    @Test(
        arguments: ["/crm/objects/2026-09", "/crm/objects/2026-03", "/crm/objects/2025-09", "/crm/v3/objects"], ["contacts", "0-1"])
    func everyVersionAndNameOfATypeLeadsToTheSameRecords(prefix: String, name: String) {
        #expect(Account().get("\(prefix)/\(name)?limit=3").ids == ["101", "151", "201"])
    }

    @Test(arguments: [
        "/crm/objects/2024-09/contacts", "/crm/objects/2026-09/contact", "/crm/v4/objects/contacts",
        "/crm/v3/associations/contacts/deals/batch/read",
        "/crm/objects/2026-09/contacts/batch/burn", "/nothing", "/",
    ])
    func anUnknownPathIsNotFoundEvenWithoutAToken(path: String) {
        #expect(Account().call("GET", path, token: "wrong").status == 404)
    }

    @Test func instantsPrintTheirMillisecondsOnlyWhenThereAreSome() {
        #expect(Instant.text(1_763_625_600_000) == "2025-11-20T08:00:00Z")
        #expect(Instant.text(1_763_625_600_070) == "2025-11-20T08:00:00.070Z")
        #expect(Instant.text(951_782_400_001) == "2000-02-29T00:00:00.001Z")
        var random = SeededRandom(seed: 5)
        for _ in 0..<1000 {
            let time = Int64(random.next() % 4_000_000_000_000)
            #expect(Timestamp(iso8601: Instant.text(time))?.milliseconds == time)
        }
    }

    @Test(arguments: [1, 7, 100]) func pagesCoverEveryRecordOnceInOrderOfIds(limit: Int) {
        let account = Account()
        for index in [0, 3, 100, 249] { try? account.world.archive(.contacts, account.id(index)) }
        _ = try? account.world.create(.contacts, ["email": "late@example.com"])
        var ids: [String] = []
        var after: String?
        repeat {
            let page = account.get("/crm/v3/objects/contacts?limit=\(limit)" + (after.map { "&after=\($0)" } ?? ""))
            #expect(page.results.count <= limit)
            ids += page.ids
            after = page.next
        } while after != nil
        #expect(ids.count == 247)
        #expect(ids == account.world.ids(.contacts).map(String.init))
        #expect(Set(ids).count == ids.count)
    }

    @Test func theNextPageIsLinked() {
        let account = Account()
        let answer = account.get("/crm/v3/objects/contacts?limit=2&properties=email,phone&after=151")
        let next = (answer.json["paging"] as? [String: Any])?["next"] as? [String: Any]
        #expect(next?["after"] as? String == "251")
        #expect(
            next?["link"] as? String == "https://api.hubapi.com/crm/v3/objects/contacts?limit=2&properties=email,phone&after=251")
        #expect(account.get("/crm/v3/objects/contacts?limit=100&after=\(account.id(249))").json["paging"] == nil)
    }

    @Test func requestedPropertiesComeSortedNullWhenEmptyAndUnknownOnesAreIgnored() {
        let account = Account()
        let path =
            "/crm/v3/objects/companies/\(account.id(1, .companies))?properties=zip,hs_merged_object_ids&properties=domain&properties=nonsense"
        let answer = account.get(path)
        #expect(
            Set(answer.properties.keys) == [
                "createdate", "domain", "hs_lastmodifieddate", "hs_merged_object_ids", "hs_object_id", "zip",
            ])
        #expect(answer.properties["hs_merged_object_ids"] is NSNull)
        let text = String(decoding: answer.body, as: UTF8.self)
        let places = ["\"createdate\"", "\"domain\"", "\"hs_lastmodifieddate\"", "\"zip\""].compactMap {
            text.range(of: $0)?.lowerBound
        }
        #expect(places.count == 4 && places == places.sorted())
    }

    @Test func limitsBeyondTheDocumentedOnesAreRefused() {
        let account = Account()
        for target in ["limit=101", "limit=0", "limit=x", "limit=51&propertiesWithHistory=email", "after=abc", "archived=maybe"] {
            let answer = account.get("/crm/v3/objects/deals?\(target)")
            #expect(answer.status == 400, "\(target)")
            #expect(answer.json["category"] as? String == "VALIDATION_ERROR")
        }
        #expect(account.get("/crm/v3/objects/deals?limit=50&propertiesWithHistory=dealname").status == 200)
    }

    @Test func aTargetThatIsTooLongIsRefusedByTheEdgeInHTML() {
        let answer = Account().get("/crm/v3/objects/contacts?properties=" + String(repeating: "a", count: 8000))
        #expect(answer.status == 414)
        #expect(answer.header("Content-Type") == "text/html")
        #expect(answer.json.isEmpty)
    }

    @Test func seededRecordsHaveAsManyValuesAsAskedAndDependOnTheSeedAlone() throws {
        let records = Account { $0.propertiesPerRecord = 60 }.world.records(.contacts)
        #expect(records == Account { $0.propertiesPerRecord = 60 }.world.records(.contacts))
        #expect(records != Account { $0.seed = 2 }.world.records(.contacts))
        for record in records {
            let set = record.properties.values.count { $0 != nil }
            // The longest text is extra, and so is what HubSpot calculates; `;` lists may be empty.
            #expect((60...62).contains(set))
        }
        let values = Set(records.flatMap { $0.properties.values.compactMap(\.self) })
        for hard in [
            "", "9223372036854775807", "1.5E-7", "007", "Zoë 東京 🚀", "line\u{2028}separator\u{2029}paragraph", "\u{1}\u{1F}\u{7F}",
        ] {
            #expect(values.contains(hard), "\(hard)")
        }
        #expect(values.contains { $0.utf16.count == 65_536 })
        #expect(records.contains { $0.createdAt % 1000 == 0 } && records.contains { $0.createdAt % 1000 != 0 })
    }

    @Test func whatTheAPIShowsIsTheTruth() throws {
        let account = Account { $0.contacts = 60 }
        let names = account.world.propertyNames(.contacts)
        account.world.mutate(changes: 200, types: [.contacts], seed: 3)
        for record in account.world.records(.contacts) {
            let body: [String: Any] = ["inputs": [["id": String(record.id)]], "properties": names]
            let answer = account.post("/crm/v3/objects/contacts/batch/read?archived=\(record.archived)", body)
            // Foundation's parser drops a byte order mark at the start of a string, so this reads with our own.
            let shown = try #require(try JSONValue(answer.body)["results"]?.array?.first)
            guard case .object(let properties)? = shown["properties"] else {
                Issue.record("\(record.id) has no properties")
                continue
            }
            #expect(Set(properties.keys) == Set(names))
            for name in names { #expect(properties[name]?.text == record.properties[name] ?? nil, "\(record.id) \(name)") }
            #expect(shown["updatedAt"]?.text == Instant.text(record.updatedAt))
        }
    }

    @Test func idsAscendHaveGapsAndAreFoundAgain() {
        let seeds = SeededRecords(type: .contacts, count: 1_000_000, seed: 9, properties: [], valuesPerRecord: 0)
        var last: Int64 = 0
        for index in stride(from: 0, to: 1_000_000, by: 997) {
            let id = seeds.id(index)
            #expect(id > last)
            #expect(seeds.index(of: id) == index)
            #expect(seeds.firstIndex(notBelow: id + 1) == index + 1)
            last = id
        }
        #expect(seeds.id(999_999) > 1 << 32 && seeds.id(999_999) < 870_000_000_000)
        #expect((0..<999_999).allSatisfy { seeds.id($0) < seeds.id($0 + 1) })
    }

    @Test func anArchivedRecordIsGoneFromReadsAndListedInTheBin() throws {
        let account = Account()
        let id = account.id(12)
        #expect(account.call("DELETE", "/crm/objects/2026-09/contacts/\(id)").status == 204)
        #expect(account.call("DELETE", "/crm/objects/2026-09/contacts/\(id)").status == 204)
        #expect(account.get("/crm/objects/2026-09/contacts/\(id)").status == 404)
        let archived = account.get("/crm/objects/2026-09/contacts/\(id)?archived=true")
        #expect(archived.json["archived"] as? Bool == true)
        #expect(archived.json["archivedAt"] as? String == "2026-11-23T10:00:00Z")
        #expect(account.get("/crm/objects/2026-09/contacts?archived=true").ids == [String(id)])
        #expect(account.get("/crm/objects/2026-09/contacts/\(account.id(13))?archived=true").status == 404)
        try account.world.restore(.contacts, id)
        #expect(account.get("/crm/objects/2026-09/contacts/\(id)").json["archived"] as? Bool == false)
        #expect(account.get("/crm/objects/2026-09/contacts?archived=true").ids.isEmpty)
    }

    @Test func aContactCannotBeRestoredWhileAnotherHoldsItsEmail() throws {
        let account = Account()
        let id = account.id(12)
        let email = try #require(account.world.value(.contacts, id, "email"))
        try account.world.archive(.contacts, id)
        let other = try account.world.create(.contacts, ["email": email])
        #expect(throws: WorldError(kind: .conflict(existing: other))) { try account.world.restore(.contacts, id) }
    }

    @Test func uniquePropertiesFindTheirRecordAndOthersDoNot() throws {
        let account = Account()
        let email = try #require(account.world.value(.contacts, account.id(30), "email"))
        let path = "/crm/v3/objects/contacts/"
        #expect(account.get(path + "\(email)?idProperty=email").json["id"] as? String == String(account.id(30)))
        #expect(account.get(path + "\(email.uppercased())?idProperty=email").status == 200)
        #expect(account.get(path + "EXT-31?idProperty=external_id").json["id"] as? String == String(account.id(31)))
        #expect(account.get(path + "x?idProperty=firstname").status == 400)
        try account.world.update(.contacts, account.id(30), ["email": "new@example.com"])
        #expect(account.get(path + "\(email)?idProperty=email").status == 404)
        #expect(account.get(path + "new@example.com?idProperty=email").json["id"] as? String == String(account.id(30)))
        let create = account.post("/crm/v3/objects/contacts", ["properties": ["email": "NEW@example.com"]])
        #expect(create.status == 409)
        #expect(create.json["category"] as? String == "CONFLICT")
    }

    @Test func writesAnswerTheRecordAndRefuseWhatDoesNotExist() throws {
        let account = Account()
        let created = account.post("/crm/v3/objects/deals", ["properties": ["dealname": "Größe \"1\"", "amount": "12.50"]])
        #expect(created.status == 201)
        let id = try #require(created.json["id"] as? String)
        #expect(Int64(id)! > account.id(59, .deals))
        #expect(created.properties["dealname"] as? String == "Größe \"1\"")
        let updated = account.call("PATCH", "/crm/v3/objects/deals/\(id)", ["properties": ["amount": ""]])
        #expect(updated.properties["amount"] is NSNull)
        let wrong = account.call("PATCH", "/crm/v3/objects/deals/\(id)", ["properties": ["nope": "1", "dealstage": "nowhere"]])
        #expect(wrong.status == 400)
        #expect(wrong.errors.map { $0["code"] as? String } == ["INVALID_OPTION", "PROPERTY_DOESNT_EXIST"])
        #expect((wrong.errors[1]["context"] as? [String: [String]]) == ["propertyName": ["nope"]])
        #expect(account.call("PATCH", "/crm/v3/objects/deals/1", ["properties": ["amount": "1"]]).status == 404)
    }
}
