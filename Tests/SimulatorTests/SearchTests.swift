import Foundation
import Model
import NIOConcurrencyHelpers
import Testing

@testable import Simulator

struct SearchTests {
    private func filter(_ name: String, _ operation: String, _ value: Any? = nil, high: String? = nil) -> [String: Any] {
        var filter: [String: Any] = ["propertyName": name, "operator": operation]
        if let value { filter[value is [String] ? "values" : "value"] = value }
        if let high { filter["highValue"] = high }
        return filter
    }

    private func search(
        _ account: Account, _ filters: [[String: Any]], sort: String? = nil, limit: Int = 200, after: Int? = nil,
        type: String = "contacts",
        query: String? = nil
    ) -> Answer {
        var body: [String: Any] = ["filterGroups": filters.isEmpty ? [] : [["filters": filters]], "limit": limit]
        if let sort { body["sorts"] = [["propertyName": sort, "direction": "ASCENDING"]] }
        if let after { body["after"] = String(after) }
        if let query { body["query"] = query }
        return account.post("/crm/objects/2026-09/\(type)/search", body)
    }

    @Test func changesSinceAnInstantAreFoundByTheRightPropertyOnly() throws {
        let account = Account()
        try account.world.update(.contacts, account.id(7), ["firstname": "New"])
        try account.world.update(.companies, account.id(7, .companies), ["name": "New"])
        try account.world.archive(.contacts, account.id(8))
        let since = String(Account.now - 1000)
        let found = search(account, [filter("lastmodifieddate", "GTE", since)], sort: "lastmodifieddate")
        #expect(found.ids == [String(account.id(7))])
        #expect(found.json["total"] as? Int == 1)
        #expect(search(account, [filter("lastmodifieddate", "GTE", "2026-11-23T09:59:59.000Z")]).ids == found.ids)
        let wrong = search(account, [filter("hs_lastmodifieddate", "GTE", since)])
        #expect(wrong.status == 200)
        #expect(wrong.ids.isEmpty)
        #expect(search(account, [filter("hs_lastmodifieddate", "GTE", since)], type: "companies").ids.count == 1)
        #expect(search(account, [filter("lastmodifieddate", "GTE", since)], type: "companies").ids.isEmpty)
    }

    @Test func everyOperatorFindsWhatItSays() throws {
        let account = Account { $0.contacts = 0 }
        let values: [(String, String, String)] = [("a", "10", "lead"), ("Bee line", "200", "customer"), ("c", "", "other")]
        var ids: [String] = []
        for (name, number, stage) in values {
            ids.append(
                String(
                    try account.world.create(
                        .contacts,
                        ["firstname": name, "num_notes_x": number, "lifecyclestage": stage].filter { $0.key != "num_notes_x" })))
        }
        for (place, id) in ids.enumerated() where !values[place].1.isEmpty {
            try account.world.update(.contacts, Int64(id)!, ["annualrevenue": values[place].1])
        }
        func found(_ filter: [String: Any]) -> [Int] {
            search(account, [filter]).ids.compactMap { ids.firstIndex(of: $0) }.sorted()
        }
        #expect(found(filter("firstname", "EQ", "A")) == [0])
        #expect(found(filter("firstname", "NEQ", "a")) == [1, 2])
        #expect(found(filter("lifecyclestage", "EQ", "LEAD")) == [])
        #expect(found(filter("lifecyclestage", "IN", ["lead", "other"])) == [0, 2])
        #expect(found(filter("lifecyclestage", "NOT_IN", ["lead", "other"])) == [1])
        #expect(found(filter("annualrevenue", "HAS_PROPERTY")) == [0, 1])
        #expect(found(filter("annualrevenue", "NOT_HAS_PROPERTY")) == [2])
        #expect(found(filter("firstname", "CONTAINS_TOKEN", "bee")) == [1])
        #expect(found(filter("firstname", "CONTAINS_TOKEN", "lin*")) == [1])
        #expect(found(filter("firstname", "NOT_CONTAINS_TOKEN", "bee")) == [0, 2])
        #expect(found(filter("hs_object_id", "BETWEEN", ids[0], high: ids[1])) == [0, 1])
        #expect(found(filter("hs_object_id", "GT", ids[0])) == [1, 2])
        #expect(found(filter("hs_object_id", "LT", ids[1])) == [0])
        #expect(found(filter("hs_object_id", "LTE", ids[1])) == [0, 1])
        #expect(found(filter("createdate", "GTE", String(Account.now))) == [0, 1, 2])
    }

    @Test func aWindowOfIdsIsWhatTheListHoldsThere() {
        let account = Account { $0.contacts = 5000 }
        let (low, high) = (account.id(1000), account.id(1199))
        let filters = [filter("hs_object_id", "GTE", String(low)), filter("hs_object_id", "LTE", String(high))]
        let found = search(account, filters, sort: "hs_object_id")
        #expect(found.json["total"] as? Int == 200)
        #expect(found.ids == account.world.ids(.contacts, from: low, limit: 200).map(String.init))
        #expect(found.next == nil)
    }

    @Test func pagesCoverAllHitsOnceAndEndAt10000() {
        let account = Account { $0.contacts = 10_500 }
        var ids: Set<String> = []
        var after = 0
        while let next = search(account, [], sort: "lastmodifieddate", after: after).next.flatMap(Int.init), next < 10_000 {
            ids.formUnion(search(account, [], sort: "lastmodifieddate", after: after).ids)
            after = next
        }
        ids.formUnion(search(account, [], sort: "lastmodifieddate", after: after).ids)
        #expect(ids.count == 10_000)
        let last = search(account, [], sort: "lastmodifieddate", after: 9800)
        #expect(last.json["total"] as? Int == 10_500)
        #expect(last.next == "10000")
        let beyond = search(account, [], sort: "lastmodifieddate", after: 10_000)
        #expect(beyond.status == 400)
        #expect(beyond.json["category"] as? String == "VALIDATION_ERROR")
    }

    @Test func whatIsBeyondTheLimitsIsRefused() {
        let account = Account()
        let one = filter("email", "HAS_PROPERTY")
        #expect(search(account, [], limit: 201).status == 400)
        #expect(search(account, Array(repeating: one, count: 7)).status == 400)
        #expect(search(account, [filter("email", "LIKE", "x")]).status == 400)
        #expect(search(account, [filter("nonsense", "EQ", "x")]).status == 400)
        #expect(search(account, [], query: String(repeating: "x", count: 3001)).status == 400)
        let groups = ["filterGroups": Array(repeating: ["filters": [one]], count: 6)]
        #expect(account.post("/crm/v3/objects/contacts/search", groups).status == 400)
        #expect(search(account, []).json["results"] != nil)
    }

    @Test func searchHasNoRateLimitHeadersAndItsOwnLimit() {
        let account = Account {
            $0.rateLimit = RateLimit(100, per: .seconds(10))
            $0.searchRateLimit = RateLimit(5, per: .seconds(1))
            $0.rejectedCallsCount = false
        }
        for _ in 0..<5 { #expect(search(account, []).status == 200) }
        let refused = search(account, [])
        #expect(refused.status == 429)
        #expect(refused.json["policyName"] as? String == "SECONDLY")
        #expect(refused.headers.allSatisfy { !$0.name.lowercased().contains("ratelimit") })
        account.time += 1_000_000_000
        #expect(search(account, []).status == 200)
        #expect(account.get("/crm/v3/objects/contacts").header("X-HubSpot-RateLimit-Remaining") == "99")
    }

    @Test func theIndexLagsBehind() throws {
        let clock = NIOLockedValueBox(Account.now)
        let account = Account({ $0.searchLag = .seconds(10) }, now: { clock.withLockedValue { $0 } })
        let id = account.id(7)
        let old = try #require(account.world.value(.contacts, id, "firstname"))
        try account.world.update(.contacts, id, ["firstname": "Newest"])
        let made = try account.world.create(.contacts, ["firstname": "Newest"])
        try account.world.archive(.contacts, account.id(8))
        func names() -> [String: String] {
            let body: [String: Any] = [
                "filterGroups": [["filters": [filter("hs_object_id", "IN", [id, made, account.id(8)].map(String.init))]]]
            ]
            return Dictionary(
                uniqueKeysWithValues: account.post("/crm/v3/objects/contacts/search", body).results.map {
                    ($0["id"] as? String ?? "", ($0["properties"] as? [String: Any])?["firstname"] as? String ?? "")
                })
        }
        #expect(names()[String(id)] == old)
        #expect(names()[String(made)] == nil)
        #expect(names()[String(account.id(8))] != nil)
        clock.withLockedValue { $0 += 10_000 }
        #expect(names() == [String(id): "Newest", String(made): "Newest"])
    }

    @Test func bulkEditsShareTheirMillisecond() throws {
        let account = Account()
        let ids = try account.world.bulkEdit(.contacts, count: 50, ["city": "Kiel"])
        let found = search(account, [filter("lastmodifieddate", "EQ", String(Account.now))])
        #expect(Set(found.ids) == Set(ids.map(String.init)))
    }
}
