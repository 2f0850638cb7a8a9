import Foundation
import Model
import Testing

@testable import Simulator

struct BatchTests {
    private func read(_ account: Account, _ ids: [Any], _ query: String = "", extra: [String: Any] = [:]) -> Answer {
        let body: [String: Any] = ["inputs": ids.map { ["id": "\($0)"] }, "properties": ["email", "hs_merged_object_ids"]]
        return account.post("/crm/objects/2026-09/contacts/batch/read" + query, body.merging(extra) { $1 })
    }

    @Test func allFoundIs200WithoutErrors() {
        let account = Account()
        let answer = read(account, [account.id(9), account.id(3), account.id(9)])
        #expect(answer.status == 200)
        #expect(Set(answer.json.keys) == ["status", "results", "startedAt", "completedAt"])
        #expect(answer.json["status"] as? String == "COMPLETE")
        #expect(answer.ids == [account.id(3), account.id(9)].map(String.init))
    }

    @Test func missingIdsAreOneGroupedErrorIn207() throws {
        let account = Account()
        try account.world.archive(.contacts, account.id(4))
        try account.world.gdprDelete(account.id(5))
        let answer = read(account, [account.id(3), account.id(4), account.id(5), 77, "abc"])
        #expect(answer.status == 207)
        #expect(answer.json["status"] as? String == "COMPLETE")
        #expect(answer.json["numErrors"] as? Int == 1)
        #expect(answer.ids == [String(account.id(3))])
        let error = try #require(answer.errors.first)
        #expect(answer.errors.count == 1)
        #expect(error["status"] as? String == "error")
        #expect(error["category"] as? String == "OBJECT_NOT_FOUND")
        #expect((error["context"] as? [String: [String]]) == ["ids": [String(account.id(4)), String(account.id(5)), "77", "abc"]])
        #expect(read(account, [account.id(3), account.id(4), account.id(5)], "?archived=true").ids == [String(account.id(4))])
    }

    @Test func uniqueValuesCanStandForIds() {
        let account = Account()
        let email = account.world.value(.contacts, account.id(8), "email") ?? ""
        let answer = read(account, [email, "nobody@example.com"], extra: ["idProperty": "email"])
        #expect(answer.status == 207)
        #expect(answer.ids == [String(account.id(8))])
    }

    @Test func moreThan100InputsAreRefused() {
        let account = Account()
        #expect(read(account, Array(1...101)).status == 400)
        #expect(account.post("/crm/v3/objects/contacts/batch/read", ["inputs": 1]).status == 400)
        #expect(account.post("/crm/v3/objects/contacts/batch/read", "nonsense").status == 400)
    }

    @Test func writesInBatchesAnswerLikeHubSpot() throws {
        let account = Account()
        let created = account.post(
            "/crm/v3/objects/companies/batch/create", ["inputs": [["properties": ["name": "A"]], ["properties": ["name": "B"]]]])
        #expect(created.status == 201)
        #expect(created.ids.count == 2)
        let updated = account.post(
            "/crm/v3/objects/companies/batch/update",
            ["inputs": [["id": created.ids[0], "properties": ["name": "C"]], ["id": "5", "properties": ["name": "D"]]]])
        #expect(updated.status == 207)
        #expect(updated.ids == [created.ids[0]])
        #expect(account.post("/crm/v3/objects/companies/batch/archive", ["inputs": created.ids.map { ["id": $0] }]).status == 204)
        #expect(account.get("/crm/v3/objects/companies?archived=true").ids == created.ids)
    }

    // MARK: Merges

    @Test func aMergeMakesAThirdRecordThatOldIdsLeadTo() throws {
        let account = Account()
        let (a, b) = (account.id(10), account.id(11))
        let merged = account.post(
            "/crm/objects/2026-09/contacts/merge", ["primaryObjectId": String(a), "objectIdToMerge": String(b)])
        #expect(merged.status == 200)
        let id = try #require(merged.json["id"] as? String)
        #expect(id != String(a) && id != String(b))
        #expect(merged.properties["email"] as? String == "person10@example3.com")
        for old in [a, b] { #expect(account.get("/crm/objects/2026-09/contacts/\(old)").json["id"] as? String == id) }
        let batch = read(account, [a, b, account.id(12)])
        #expect(batch.status == 200)
        #expect(Set(batch.ids) == [id, String(account.id(12))])
        let survivor = try #require(batch.results.first { $0["id"] as? String == id }?["properties"] as? [String: Any])
        #expect(survivor["hs_merged_object_ids"] as? String == "\(a);\(b)")
        #expect(!account.get("/crm/v3/objects/contacts?limit=100").ids.contains(String(a)))
        #expect(account.world.value(.contacts, a, "hs_calculated_merged_vids") == "\(a):\(Account.now);\(b):\(Account.now)")
        #expect(account.world.count(.contacts) == 249)
        #expect(account.world.gone(.contacts) == [a: Int64(id), b: Int64(id)])
        #expect(read(account, [a, b], "?archived=true").status == 207)
    }

    @Test func aMergeCanKeepThePrimary() throws {
        let account = Account { $0.mergeKeepsPrimary = true }
        let (a, b) = (account.id(10), account.id(11))
        let merged = account.post("/crm/v3/objects/deals/merge", ["primaryObjectId": "101", "objectIdToMerge": "151"])
        #expect(merged.json["id"] as? String == "101")
        #expect(try account.world.merge(.contacts, primary: a, other: b) == a)
        #expect(account.get("/crm/v3/objects/contacts/\(b)").json["id"] as? String == String(a))
        #expect(account.world.value(.contacts, a, "hs_merged_object_ids") == String(b))
    }

    @Test func mergesAccumulateAndTheSurvivorTakesWhatThePrimaryLacks() throws {
        let account = Account()
        let first = try account.world.create(.companies, ["name": "First"])
        let second = try account.world.create(.companies, ["name": "Second", "city": "Kiel"])
        let third = try account.world.create(.companies, ["phone": "1"])
        let one = try account.world.merge(.companies, primary: first, other: second)
        let two = try account.world.merge(.companies, primary: third, other: first)
        #expect(account.world.value(.companies, second, "city") == "Kiel")
        #expect(account.world.value(.companies, second, "name") == "First")
        #expect(
            account.world.value(.companies, second, "hs_merged_object_ids")
                == [third, first, second, one].map(String.init).joined(separator: ";"))
        #expect(account.world.gone(.companies)[first] == two)
        #expect(throws: WorldError(kind: .notFound)) { try account.world.merge(.companies, primary: first, other: third) }
    }

    // MARK: Associations

    @Test func associationsAreReadInBatchesWithTheMixOfIdTypes() throws {
        let account = Account()
        let lonely = account.id(4)  // every fifth contact has no company
        let body = ["inputs": [["id": String(account.id(1))], ["id": String(lonely)]]]
        let answer = account.post("/crm/associations/2026-09/contact/company/batch/read", body)
        #expect(answer.status == 207)
        let result = try #require(answer.results.first)
        #expect((result["from"] as? [String: String]) == ["id": "151"])
        let to = try #require((result["to"] as? [[String: Any]])?.first)
        #expect(to["toObjectId"] as? Int64 == 151)
        let types = try #require(to["associationTypes"] as? [[String: Any]])
        #expect(types.map { $0["typeId"] as? Int } == [1, 279])
        #expect(types[0]["label"] as? String == "Primary")
        #expect(types[1]["label"] is NSNull)
        #expect(answer.errors.first?["subCategory"] as? String == "crm.associations.NO_ASSOCIATIONS_FOUND")
        #expect(account.post("/crm/v4/associations/contacts/companies/batch/read", body).results.count == 1)
    }

    @Test func bothSidesOfAnAssociationAgree() throws {
        let account = Account()
        account.world.mutate(changes: 300, seed: 7)
        for from in RecordType.allCases {
            for to in RecordType.allCases {
                for id in account.world.ids(from) {
                    for other in account.world.associatedIds(from, id, to: to) {
                        #expect(account.world.associatedIds(to, other, to: from).contains(id), "\(from) \(id) \(to) \(other)")
                    }
                }
            }
        }
    }

    @Test func longListsOfAssociationsHavePages() throws {
        let account = Account {
            $0.companies = 1
            $0.associationPageSize = 30
        }
        var ids: [Int64] = []
        var after: String?
        repeat {
            var input = ["id": "101"]
            if let after { input["after"] = after }
            let answer = account.post("/crm/v4/associations/companies/contacts/batch/read", ["inputs": [input]])
            let result = try #require(answer.results.first)
            ids += (result["to"] as? [[String: Any]] ?? []).compactMap { $0["toObjectId"] as? Int64 }
            after = ((result["paging"] as? [String: Any])?["next"] as? [String: Any])?["after"] as? String
        } while after != nil
        #expect(ids.count == 200)
        #expect(ids == account.world.associatedIds(.companies, 101, to: .contacts))
    }

    @Test func associationsCanBeMadeAndRemoved() throws {
        let account = Account()
        let put = account.call(
            "PUT", "/crm/objects/2026-09/contact/\(account.id(4))/associations/default/deal/\(account.id(2, .deals))")
        #expect(put.status == 200)
        #expect(account.world.associatedIds(.deals, account.id(2, .deals), to: .contacts).contains(account.id(4)))
        let shown = account.get("/crm/v3/objects/contacts/\(account.id(4))?associations=deals,companies")
        let lists = try #require(shown.json["associations"] as? [String: [String: Any]])
        #expect(Array(lists.keys) == ["deals"])
        #expect((lists["deals"]?["results"] as? [[String: String]])?.contains(["id": "201", "type": "contact_to_deal"]) == true)
        let path = "/crm/v4/objects/contacts/\(account.id(4))/associations/deals/\(account.id(2, .deals))"
        #expect(account.call("DELETE", path).status == 204)
        #expect(!account.world.associatedIds(.contacts, account.id(4), to: .deals).contains(account.id(2, .deals)))
    }

    @Test func statusesOfAssociationWritesDependOnTheVersion() {
        let account = Account()
        let make = [
            "inputs": [
                [
                    "from": ["id": "301"], "to": ["id": "151"],
                    "types": [["associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 279]],
                ]
            ]
        ]
        let remove = ["inputs": [["from": ["id": "301"], "to": [["id": "151"]]]]]
        #expect(account.post("/crm/v4/associations/contacts/companies/batch/create", make).status == 201)
        #expect(account.world.associatedIds(.contacts, 301, to: .companies).contains(151))
        #expect(account.post("/crm/v4/associations/contacts/companies/batch/archive", remove).status == 204)
        #expect(account.post("/crm/associations/2026-09/contacts/companies/batch/create", make).status == 200)
        #expect(account.post("/crm/associations/2026-09/contacts/companies/batch/archive", remove).status == 200)
        #expect(!account.world.associatedIds(.contacts, 301, to: .companies).contains(151))
    }

    @Test func mergesKeepAssociationsOnBothSides() throws {
        let account = Account()
        let companies = Set(
            account.world.associatedIds(.contacts, account.id(1), to: .companies)
                + account.world.associatedIds(.contacts, account.id(2), to: .companies))
        let id = try account.world.merge(.contacts, primary: account.id(1), other: account.id(2))
        #expect(Set(account.world.associatedIds(.contacts, id, to: .companies)) == companies)
        for company in companies { #expect(account.world.associatedIds(.companies, company, to: .contacts).contains(id)) }
    }
}
