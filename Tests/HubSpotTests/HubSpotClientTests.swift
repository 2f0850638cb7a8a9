import Bytes
import Curl
import Foundation
@testable import HubSpot
import Logging
import Model
import Rules
import TestSupport
import Testing

/// The client against a server that answers as a test says, so also as HubSpot should not.
@Suite(.timeLimit(.minutes(1))) struct HubSpotClientTests {
    private static let token = "pat-na1-5ecret-token"

    private func withClient<R>(
        version: HubSpotVersion = .dated("2026-09"), _ answer: @escaping @Sendable (RawServer.Request) -> RawServer.Answer,
        attemptsMax: Int = 6, timeout: Duration = .seconds(10), pauseWaitMax: Duration = .seconds(5),
        _ body: (HubSpotClient, RawServer) async throws -> R
    ) async throws -> R {
        let server = try RawServer(answer)
        let driver = CurlDriver()
        defer { server.stop() }
        let settings = HubSpotSettings(
            baseURL: server.url + "/", accessToken: Self.token, version: version, rateLimit: RateLimit(calls: 1000, interval: .seconds(1)),
            searchRateLimit: RateLimit(calls: 100, interval: .seconds(1)), timeout: timeout, attemptsMax: attemptsMax,
            backoff: Backoff(base: .milliseconds(1), cap: .milliseconds(5)), pauseWaitMax: pauseWaitMax)
        let client = HubSpotClient(settings: settings, driver: driver, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        let result = try await body(client, server)
        await driver.shutDown()
        return result
    }

    private func error(_ body: () async throws(HubSpotError) -> some Any) async throws -> HubSpotError {
        do throws(HubSpotError) {
            _ = try await body()
        } catch {
            #expect(!"\(error)\(error.message)".contains(Self.token))
            return error
        }
        throw Unexpected()
    }

    private struct Unexpected: Error {}

    private static func object(_ id: String, _ properties: String = "{}") -> String {
        #"{"id":"\#(id)","properties":\#(properties),"createdAt":"2024-01-17T19:55:04.281Z","updatedAt":"2026-11-20T08:00:00Z","archived":false}"#
    }

    private static func results(_ ids: [String], more: String = "") -> String {
        #"{"results":[\#(ids.map { object($0) }.joined(separator: ","))]\#(more)}"#
    }

    // MARK: List

    @Test(arguments: [(HubSpotVersion.dated("2026-09"), "/crm/objects/2026-09/contacts"), (.v3, "/crm/v3/objects/contacts")])
    func aPageIsAskedForAndRead(version: HubSpotVersion, path: String) async throws {
        let answer = Self.results(["1", "2"], more: #","paging":{"next":{"after":"3","link":"https://x"}}"#)
        try await withClient(version: version, { _ in .json(answer) }) { client, server in
            let page = try await client.page(of: .contacts, after: "1", limit: 500, properties: ["email", "a b&c"], archived: true, as: .full)
            #expect(page.records.map(\.id) == ["1", "2"] && page.after == "3" && page.failures.isEmpty)
            let request = try #require(server.requests.first)
            #expect(request.target == path + "?limit=100&archived=true&after=1&properties=email,a%20b%26c")
            #expect(request.header("Authorization") == "Bearer \(Self.token)")
        }
    }

    @Test func theLastPageHasNoCursorAndABadRecordDoesNotEndIt() async throws {
        try await withClient({ _ in .json(#"{"results":[\#(Self.object("1")),{"id":"2"},17,\#(Self.object("3"))],"paging":{}}"#) }) { client, _ in
            let page = try await client.page(of: .deals, after: nil, limit: 100, properties: [], archived: false, as: .full)
            #expect(page.records.map(\.id) == ["1", "3"] && page.after == nil)
            #expect(page.failures.map(\.id) == ["2", nil])
        }
    }

    @Test func aListOfNamesTooLongForAURLGoesByBatchRead() async throws {
        let names = (0..<1_200).map { "custom_property_number_\($0)" }
        try await withClient({ request in
            if request.method == "GET" { return .json(Self.results(["1", "2", "3"], more: #","paging":{"next":{"after":"4"}}"#)) }
            return .json(#"{"status":"COMPLETE","results":[\#(Self.object("2", #"{"custom_property_number_1199":"x"}"#)),\#(Self.object("9")),\#(Self.object("1"))]}"#)
        }) { client, server in
            let page = try await client.page(of: .companies, after: nil, limit: 3, properties: names, archived: false, as: .full)
            #expect(page.records.map(\.id) == ["2", "1"] && page.after == "4")
            #expect(BSONDocument(bytes: page.records[0].properties) == ["custom_property_number_1199": "x"])
            #expect(server.requests.allSatisfy { $0.target.utf8.count < 6_000 })
            let body = try #require(try JSONSerialization.jsonObject(with: Data(server.requests[1].body)) as? [String: Any])
            #expect(body["properties"] as? [String] == names)
            #expect((body["inputs"] as? [[String: String]])?.map { $0["id"] } == ["1", "2", "3"])
            let record = try await client.record(.companies, id: "2", properties: names, archived: false, as: .live)
            #expect(record?.id == "2")
        }
    }

    @Test func pagingThatDoesNotGetOnIsDamage() async throws {
        try await withClient({ _ in .json(Self.results(["1"], more: #","paging":{"next":{"after":"7"}}"#)) }) { client, _ in
            let error = try await error { () async throws(HubSpotError) in
                try await client.page(of: .deals, after: "7", limit: 1, properties: [], archived: false, as: .full)
            }
            #expect(error.kind == .damaged)
        }
    }

    // MARK: Batch read

    @Test func missingAndMergedIdsAreNamed() async throws {
        let answer = #"{"status":"COMPLETE","results":[\#(Self.object("84805801")),\#(Self.object("1"))],"numErrors":1,"errors":[{"status":"error","category":"OBJECT_NOT_FOUND","message":"gone","context":{"ids":["3"]}}]}"#
        for status in [200, 207] {
            try await withClient({ _ in .json(answer, status: status) }) { client, server in
                let batch = try await client.read(.contacts, ids: ["1", "62241", "3", "x", "1"], properties: ["email"], archived: false, as: .webhook)
                #expect(batch.records.map(\.id) == ["84805801", "1"])
                #expect(Set(batch.missing) == ["62241", "3", "x"] && batch.failures.isEmpty)
                #expect(server.requests.first?.target == "/crm/objects/2026-09/contacts/batch/read?archived=false")
                let body = try #require(try JSONSerialization.jsonObject(with: Data(server.requests[0].body)) as? [String: Any])
                #expect((body["inputs"] as? [[String: String]])?.map { $0["id"] } == ["1", "62241", "3"])
            }
        }
    }

    @Test(arguments: [
        #"{"status":"COMPLETE","results":[],"errors":[{"category":"INTERNAL_ERROR","message":"oops","context":{"ids":["1","2"]}}]}"#,
        #"{"status":"COMPLETE","results":[],"errors":[{"category":"INTERNAL_ERROR","message":"oops"}]}"#,
        #"{"status":"CANCELED","results":[]}"#, #"{"results":[{"properties":{}}]}"#, #"{"results":[{"id":"1"},{"id":"2"}]}"#,
    ])
    func anIdThatFailedIsNotTakenForDeleted(answer: String) async throws {
        try await withClient({ _ in .json(answer, status: 207) }) { client, _ in
            let batch = try await client.read(.contacts, ids: ["1", "2"], properties: [], archived: false, as: .webhook)
            #expect(batch.missing.isEmpty && batch.records.isEmpty)
            #expect(Set(batch.failures.compactMap(\.id)) == ["1", "2"])
        }
    }

    @Test func noIdsAreNoCallAndManyAreSeveral() async throws {
        try await withClient({ request in
            let body = try? JSONSerialization.jsonObject(with: Data(request.body)) as? [String: Any]
            let ids = (body?["inputs"] as? [[String: String]])?.compactMap { $0["id"] } ?? []
            return ids.count > 100 ? .json("{}", status: 400) : .json(Self.results(ids))
        }) { client, server in
            let none = try await client.read(.contacts, ids: [], properties: [], archived: false, as: .webhook)
            #expect(none.records.isEmpty && server.requests.isEmpty)
            let many = try await client.read(.contacts, ids: (1...250).map(String.init), properties: [], archived: false, as: .webhook)
            #expect(many.records.count == 250 && many.missing.isEmpty && server.requests.count == 3)
        }
    }

    // MARK: One record

    @Test func aRecordIsReadAndA404IsNil() async throws {
        let missing = #"{"status":"error","message":"resource not found","correlationId":"c-1"}"#
        try await withClient({ $0.path.hasSuffix("/1") ? .json(Self.object("7")) : .json(missing, status: 404) }) { client, server in
            let answer1 = try await client.record(.contacts, id: "1", properties: ["email"], archived: false, as: .live)
            #expect(answer1?.id == "7")
            let answer2 = try await client.record(.contacts, id: "2", properties: [], archived: true, as: .live)
            #expect(answer2 == nil)
            #expect(server.requests.map(\.target) == ["/crm/objects/2026-09/contacts/1?archived=false&properties=email", "/crm/objects/2026-09/contacts/2?archived=true"])
            for id in ["", "..", "x", "1/merge", "1?a"] {
                let answer3 = try await client.record(.contacts, id: id, properties: [], archived: false, as: .live)
                #expect(answer3 == nil)
            }
            #expect(server.requests.count == 2)
        }
    }

    @Test func a404OfAnotherServerIsNotAMissingRecord() async throws {
        try await withClient({ _ in .http(404, ["Content-Type: text/html"], Array("<html>nginx</html>".utf8)) }) { client, _ in
            let error = try await error { () async throws(HubSpotError) in
                try await client.record(.contacts, id: "1", properties: [], archived: false, as: .live)
            }
            #expect(error.kind == .damaged && error.status == 404)
        }
    }

    // MARK: The rest

    @Test func aSearchSendsItsQueryAndReadsTheTotal() async throws {
        try await withClient({ _ in .json(#"{"total":12345,"results":[\#(Self.object("5"))],"paging":{"next":{"after":"400"}}}"#) }) { client, server in
            let query = SearchQuery(
                groups: [[.init("lastmodifieddate", .greaterOrEqual, "1763856000000"), .init("hs_object_id", .between, "1", highValue: "9")]],
                sortedBy: "lastmodifieddate", properties: ["hs_object_id"], limit: 1000, after: "200")
            let page = try await client.search(.contacts, query, as: .incremental)
            #expect(page.total == 12_345 && page.after == "400" && page.records.map(\.id) == ["5"])
            let body = try #require(try JSONSerialization.jsonObject(with: Data(server.requests[0].body)) as? NSDictionary)
            #expect(
                body == [
                    "filterGroups": [["filters": [
                        ["propertyName": "lastmodifieddate", "operator": "GTE", "value": "1763856000000"],
                        ["propertyName": "hs_object_id", "operator": "BETWEEN", "value": "1", "highValue": "9"],
                    ]]],
                    "sorts": [["propertyName": "lastmodifieddate", "direction": "ASCENDING"]], "properties": ["hs_object_id"], "limit": 200, "after": "200",
                ] as NSDictionary)
            #expect(server.requests[0].target == "/crm/objects/2026-09/contacts/search")
            // Its description requires all five, also when there is nothing to say.
            _ = try await client.search(.contacts, SearchQuery(), as: .incremental)
            let bare = try #require(try JSONSerialization.jsonObject(with: Data(server.requests[1].body)) as? [String: Any])
            #expect(bare.keys.sorted() == ["after", "filterGroups", "limit", "properties", "sorts"] && bare["after"] as? String == "0")
        }
    }

    @Test func associationsAreFollowedToTheEnd() async throws {
        try await withClient(version: .v3, { request in
            if String(decoding: request.body, as: UTF8.self).contains("after") {
                return .json(#"{"status":"COMPLETE","results":[{"from":{"id":"1"},"to":[{"toObjectId":30,"associationTypes":[]}]}]}"#)
            }
            return .json(#"{"status":"COMPLETE","results":[{"from":{"id":"1"},"to":[{"toObjectId":10,"associationTypes":[{"typeId":1}]},{"toObjectId":10},{"toObjectId":"20"}],"paging":{"next":{"after":"x"}}}],"errors":[{"category":"OBJECT_NOT_FOUND","context":{"ids":["2"]}},{"category":"INTERNAL_ERROR","context":{"ids":["3"]}},{"category":"INTERNAL_ERROR","context":{"fromObjectId":["4"]}}]}"#, status: 207)
        }) { client, server in
            let found = try await client.associations(from: .contacts, to: .companies, ids: ["1", "2", "3", "4"], as: .full)
            #expect(found == ["1": ["10", "20", "30"], "2": []])
            #expect(server.requests.map(\.target) == Array(repeating: "/crm/v4/associations/contacts/companies/batch/read", count: 2))
        }
    }

    /// What HubSpot says nothing about has no associations only if nothing went wrong.
    @Test(arguments: [
        #"{"status":"COMPLETE","results":[{"from":{"id":"1"},"to":[]}],"errors":[{"category":"INTERNAL_ERROR"},{"subCategory":"crm.associations.NO_ASSOCIATIONS_FOUND","context":{"fromObjectId":["2"]}}]}"#,
        #"{"status":"PROCESSING","results":[{"from":{"id":"1"},"to":[]}],"errors":[{"category":"OBJECT_NOT_FOUND","context":{"ids":["2"]}}]}"#,
    ]) func incompleteAssociationsAreNotTakenForNone(body: String) async throws {
        try await withClient({ _ in .json(body, status: 207) }) { client, _ in
            let found = try await client.associations(from: .contacts, to: .companies, ids: ["1", "2", "3"], as: .full)
            #expect(found == ["1": [], "2": []])
        }
    }

    @Test func coldShapesAreRead() async throws {
        try await withClient({ request in
            switch request.path {
            case "/crm/properties/2026-09/contacts": .json(#"{"results":[{"name":"email","type":"string","fieldType":"text","options":[],"modificationMetadata":{"archivable":true}},{"name":"x"}]}"#)
            case "/crm/pipelines/2026-09/deals": .json(#"{"results":[{"id":"default","label":"Sales","displayOrder":0,"archived":false,"stages":[{"id":"won","metadata":{"isClosed":"true","probability":"1.0"}}]}]}"#)
            case "/crm/owners/2026-09" where request.query("after") == "9": .json(#"{"results":[{"id":"2","createdAt":"2024-01-17T19:55:04.281Z","archived":true}]}"#)
            case "/crm/owners/2026-09": .json(#"{"results":[{"id":"1","email":"a@b","type":"PERSON","userId":5,"archived":false}],"paging":{"next":{"after":"9"}}}"#)
            case "/account-info/2026-09/details": .json(#"{"portalId":62515,"timeZone":"US/Eastern","utcOffset":"-05:00","utcOffsetMilliseconds":-18000000}"#)
            default: .json("{}", status: 404)
            }
        }) { client, _ in
            let properties = try await client.definitions(.properties(.contacts), as: .full)
            #expect(properties.map(\.id) == ["email", "x"])
            #expect(BSONDocument(bytes: properties[0].fields)["modificationMetadata"]?.document?["archivable"] == true)
            let pipelines = try await client.definitions(.pipelines(.deals), as: .live)
            let stage = try #require(BSONDocument(bytes: pipelines[0].fields)["stages"]?.array?.first?.document)
            #expect(stage["metadata"]?.document?["probability"] == "1.0" && stage["probability"] == 1.0 && stage["isClosed"] == true)
            let owners = try await client.definitions(.owners, as: .live)
            #expect(owners.map(\.id) == ["1", "2"] && owners.map(\.archived) == [false, true])
            #expect(BSONDocument(bytes: owners[0].fields)["userId"] == 5)
            #expect(owners[1].createdAt?.iso8601 == "2024-01-17T19:55:04.281Z")
            let answer6 = try await client.account(as: .live)
            #expect(answer6.portalId == 62_515)
        }
    }

    // MARK: Errors

    @Test(arguments: [
        (400, HubSpotError.Kind.rejected), (401, .unauthorized), (403, .missingScopes(["crm.objects.deals.read"])), (404, .notFound), (405, .rejected),
        (409, .rejected), (410, .rejected), (413, .rejected), (414, .rejected), (415, .rejected), (422, .rejected), (301, .rejected), (302, .rejected),
    ])
    func whatWouldFailAgainIsNotRepeated(status: Int, kind: HubSpotError.Kind) async throws {
        let body = #"{"status":"error","message":"no good, Bearer \#(Self.token)","correlationId":"abc-1","category":"MISSING_SCOPES","errors":[{"message":"m","context":{"requiredGranularScopes":["crm.objects.deals.read"]}}]}"#
        try await withClient({ _ in .json(body, status: status, headers: ["Location: http://127.0.0.1:1/"]) }) { client, server in
            let error = try await error { () async throws(HubSpotError) in
                try await client.page(of: .deals, after: nil, limit: 1, properties: [], archived: false, as: .full)
            }
            #expect(error.kind == kind && error.status == status && error.correlationId == "abc-1")
            #expect(error.message.contains("no good, Bearer …"))
            #expect(server.requests.count == 1)
        }
    }

    @Test(arguments: [
        (500, HubSpotError.Kind.unavailable), (502, .unavailable), (503, .unavailable), (504, .unavailable), (521, .unavailable), (522, .unavailable),
        (523, .unavailable), (524, .unavailable), (525, .unavailable), (526, .unavailable), (408, .unavailable),
    ])
    func whatMayPassIsRepeated(status: Int, kind: HubSpotError.Kind) async throws {
        let html = RawServer.Answer.http(status, ["Content-Type: text/html"], Array("<!DOCTYPE html><html>Bad gateway</html>".utf8))
        let count = Counter()
        try await withClient({ _ in count.next() < 5 ? html : .json(Self.results(["1"])) }) { client, server in
            let page = try await client.page(of: .deals, after: nil, limit: 1, properties: [], archived: false, as: .full)
            #expect(page.records.count == 1 && server.requests.count == 6)
        }
        try await withClient({ _ in html }) { client, server in
            let error = try await error { () async throws(HubSpotError) in
                try await client.page(of: .deals, after: nil, limit: 1, properties: [], archived: false, as: .full)
            }
            #expect(error.kind == kind && error.status == status && server.requests.count == 6)
        }
    }

    static let damages: [RawServer.Answer] = [
        .json(""), .json("{"), .json("null"), .json("[]"), .json("{}"), .json(#"{"results":{}}"#), .json(results(["1"]) + "x"),
        .json(String(results(["1"]).dropLast(2))), .json("<html>maintenance</html>"),
        .http(200, [], [0x7B, 0xFF, 0x7D]), .http(204, [], []),
        .cut(Array("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{\"results\":[]}".utf8)), .reset,
    ]

    @Test(arguments: damages.indices) func aDamagedAnswerIsRepeatedThenAnErrorNeverAPartOfIt(index: Int) async throws {
        let damage = Self.damages[index]
        try await withClient({ _ in damage }, attemptsMax: 3) { client, server in
            let error = try await error { () async throws(HubSpotError) in
                try await client.page(of: .deals, after: nil, limit: 1, properties: [], archived: false, as: .full)
            }
            #expect(error.kind == .damaged && server.requests.count == 3)
        }
        let count = Counter()
        try await withClient({ _ in count.next() == 0 ? damage : .json(Self.results(["1"])) }) { client, _ in
            let answer7 = try await client.page(of: .deals, after: nil, limit: 1, properties: [], archived: false, as: .full)
            #expect(answer7.records.count == 1)
        }
    }

    @Test func anUnreachableOrSilentServerIsUnreachable() async throws {
        try await withClient({ _ in .silence }, attemptsMax: 2, timeout: .milliseconds(50)) { client, server in
            let slow = try await error { () async throws(HubSpotError) in try await client.account(as: .live) }
            #expect(slow.kind == .unreachable && slow.status == nil && server.requests.count == 2)
            server.stop()
            let gone = try await error { () async throws(HubSpotError) in try await client.account(as: .live) }
            #expect(gone.kind == .unreachable)
        }
    }

    @Test func a429PausesEverybodyForRetryAfter() async throws {
        let count = Counter()
        try await withClient({ _ in
            count.next() == 0
                ? .json(#"{"status":"error","errorType":"RATE_LIMIT","policyName":"TEN_SECONDLY_ROLLING"}"#, status: 429, headers: ["Retry-After: 0.3"])
                : .json(Self.results([]))
        }) { client, server in
            _ = try await client.page(of: .deals, after: nil, limit: 1, properties: [], archived: false, as: .full)
            #expect(server.requests.count == 2)
            #expect(server.requests[1].arrivedAt - server.requests[0].arrivedAt >= .milliseconds(300))
        }
    }

    @Test func aLongPauseIsAnErrorAndHoldsOtherCallsBack() async throws {
        try await withClient({ _ in .json(#"{"policyName":"DAILY","message":"daily limit"}"#, status: 429) }) { client, server in
            let first = try await error { () async throws(HubSpotError) in try await client.account(as: .live) }
            #expect(first.kind == .limited && (first.retryAfter ?? .zero) > .seconds(60))
            let second = try await error { () async throws(HubSpotError) in try await client.search(.deals, SearchQuery(), as: .live) }
            #expect(second.kind == .limited && server.requests.count == 1)
            #expect(await client.budget.pauseReason == .daily)
        }
        try await withClient({ _ in .json("{}", status: 477, headers: ["Retry-After: 7200"]) }) { client, server in
            let error = try await error { () async throws(HubSpotError) in try await client.account(as: .live) }
            #expect(error.kind == .migrating && (error.retryAfter ?? .zero) > .seconds(7_000) && server.requests.count == 1)
        }
    }

    /// HubSpot's documentation and reports disagree about `Retry-After` on a 429; without it the interval of the limit counts.
    @Test func a429WithoutRetryAfterPausesForOneInterval() async throws {
        let count = Counter()
        try await withClient({ _ in
            count.next() == 0 ? .json(#"{"policyName":"TEN_SECONDLY_ROLLING"}"#, status: 429) : .json(#"{"portalId":1}"#)
        }) { client, server in
            _ = try await client.account(as: .live)
            let waited = server.requests[1].arrivedAt - server.requests[0].arrivedAt
            #expect(waited >= .seconds(1) && waited < .seconds(4), "the interval is a second here")
            // A refused call has used the limit up like any other, as far as anybody knows.
            #expect(await client.budget.remaining <= 999)
        }
    }

    @Test func a429OfSearchPausesSearchAlone() async throws {
        let count = Counter()
        let results = Self.results([])
        try await withClient({ request in
            guard request.path.hasSuffix("/search") else { return .json(#"{"portalId":1}"#) }
            return count.next() == 0 ? .json(#"{"policyName":"SECONDLY"}"#, status: 429) : .json(#"{"total":0,"# + results.dropFirst())
        }) { client, server in
            let search = Task { try await client.search(.deals, SearchQuery(), as: .full).records.count }
            while server.requests.isEmpty { await Task.yield() }
            _ = try await client.account(as: .full)
            #expect(await client.budget.pausedFor == nil)
            #expect(try await search.value == 0)
            let searches = server.requests.filter { $0.path.hasSuffix("/search") }
            #expect(searches.count == 2 && searches[1].arrivedAt - searches[0].arrivedAt >= .seconds(1))
            let account = try #require(server.requests.first { !$0.path.hasSuffix("/search") })
            #expect(account.arrivedAt < searches[1].arrivedAt)
        }
    }

    /// The day ends at midnight of the account's time zone; while that is unknown, a call a quarter of an hour looks whether it has.
    @Test func aUsedUpDayEndsAtTheAccountsMidnight() async throws {
        try await withClient({ _ in .json(#"{"policyName":"DAILY"}"#, status: 429) }) { client, _ in
            let error = try await error { () async throws(HubSpotError) in try await client.account(as: .live) }
            #expect(error.retryAfter.map { $0 > .seconds(890) && $0 <= .seconds(900) } == true)
        }
        let count = Counter()
        try await withClient({ _ in
            // The offset puts the account's clock at some minutes before its midnight.
            let now = Int64(Date().timeIntervalSince1970 * 1000)
            let offset = 86_400_000 - now % 86_400_000 - 100_000
            return count.next() == 0
                ? .json(#"{"portalId":1,"utcOffsetMilliseconds":\#(offset)}"#) : .json(#"{"policyName":"DAILY"}"#, status: 429)
        }) { client, _ in
            _ = try await client.account(as: .live)
            let error = try await error { () async throws(HubSpotError) in try await client.account(as: .live) }
            #expect(error.retryAfter.map { $0 > .seconds(90) && $0 <= .seconds(100) } == true, "\(error)")
        }
    }

    /// Calls that others of the account have made count too; a search's answer has no headers, but it uses the day up as well.
    @Test func bulkCallsStopBeforeTheDayIsUsedUp() async throws {
        let remaining = Counter()
        try await withClient({ _ in
            let left = [600, 190, 90, 40][min(remaining.next(), 3)]
            return .json(#"{"portalId":1}"#, headers: ["X-HubSpot-RateLimit-Daily: 1000", "X-HubSpot-RateLimit-Daily-Remaining: \(left)"])
        }) { client, server in
            for (held, refused) in [([], nil), ([.healing], .healing), ([.full, .healing], .full), ([.incremental, .full, .healing], .incremental)]
                as [([CallClass], CallClass?)]
            {
                _ = try await client.account(as: .live)
                #expect(await client.budget.held == held)
                guard let refused else { continue }
                let count = server.requests.count
                let error = try await error { () async throws(HubSpotError) in try await client.account(as: refused) }
                #expect(error.kind == .limited && error.status == nil && (error.retryAfter ?? .zero) > .seconds(800))
                let search = try await self.error { () async throws(HubSpotError) in try await client.search(.deals, SearchQuery(), as: refused) }
                #expect(search.kind == .limited && server.requests.count == count)
            }
            _ = try await client.account(as: .webhook)
        }
    }

    /// Those who wait when the quota falls are told at once.
    @Test func waitingBulkCallsAreRefusedWhenTheDayRunsLow() async throws {
        let limiter = Limiter(
            general: RateLimit(calls: 1, interval: .seconds(60)), search: RateLimit(calls: 1, interval: .seconds(60)), pauseWaitMax: .seconds(5))
        let held = try await limiter.acquire(.general, .live)
        let waiting = Task { () -> HubSpotError? in
            do throws(HubSpotError) {
                _ = try await limiter.acquire(.general, .full)
                return nil
            } catch {
                return error
            }
        }
        while await limiter.snapshot.waiting[.full] != 1 { await Task.yield() }
        let headers = CurlHeaders([("X-HubSpot-RateLimit-Daily", "1000"), ("X-HubSpot-RateLimit-Daily-Remaining", "20")])
        await limiter.finish(held, headers: LimitHeaders(headers))
        #expect(await waiting.value?.kind == .limited)
    }

    /// OAuth tokens hear of no day, and what is said about seconds is out of use.
    @Test func absentAndOldHeadersChangeNothing() async throws {
        let headers = ["X-HubSpot-RateLimit-Secondly: 19", "X-HubSpot-RateLimit-Secondly-Remaining: 0"]
        try await withClient({ _ in .json(#"{"portalId":1}"#, headers: headers) }) { client, _ in
            _ = try await client.account(as: .live)
            let budget = await client.budget
            #expect(budget.limit == RateLimit("1000/1s") && budget.remaining >= 999)
            #expect(budget.dailyLimit == nil && budget.dailyRemaining == nil && budget.held.isEmpty)
        }
    }

    @Test func aLockIsWaitedOut() async throws {
        let count = Counter()
        try await withClient({ _ in count.next() == 0 ? .json("{}", status: 423) : .json(#"{"portalId":1}"#) }) { client, server in
            let answer8 = try await client.account(as: .live)
            #expect(answer8.portalId == 1)
            #expect(server.requests[1].arrivedAt - server.requests[0].arrivedAt >= .seconds(2))
        }
    }

    @Test func headersMoveTheLimit() async throws {
        let headers = [
            "X-HubSpot-RateLimit-Max: 190", "X-HubSpot-RateLimit-Interval-Milliseconds: 10000", "X-HubSpot-RateLimit-Remaining: 42",
            "X-HubSpot-RateLimit-Daily: 250000", "X-HubSpot-RateLimit-Daily-Remaining: 249000",
        ]
        try await withClient({ _ in .json(#"{"portalId":1}"#, headers: headers) }) { client, _ in
            _ = try await client.account(as: .live)
            let budget = await client.budget
            #expect(budget.limit == RateLimit("190/10s") && budget.remaining == 42)
            #expect(budget.dailyLimit == 250_000 && budget.dailyRemaining == 249_000)
        }
    }

    @Test func cancellingEndsACallWhereverItIs() async throws {
        let arrived = AsyncStream<Void>.makeStream()
        try await withClient({ _ in
            arrived.continuation.yield()
            return .silence
        }) { client, _ in
            let task = Task { try? await self.error { () async throws(HubSpotError) in try await client.account(as: .live) } }
            var arrivals = arrived.stream.makeAsyncIterator()
            await arrivals.next()
            task.cancel()
            #expect(await task.value?.kind == .cancelled)
        }
    }

    @Test func settingsAndErrorsDoNotShowTheToken() {
        let settings = HubSpotSettings(accessToken: Self.token)
        var dumped = ""
        dump(settings, to: &dumped)
        for text in ["\(settings)", String(reflecting: settings), dumped] { #expect(!text.contains("5ecret")) }
    }

    @Test(arguments: ["", "v4", "2026", "2026-9", "2026-09-", "2026-09/..", "v3/", "latest", "2026-09-gamma"]) func nonsenseIsNoVersion(text: String) {
        #expect(HubSpotVersion(text) == nil)
    }
}

/// Counts from 0.
private final class Counter: @unchecked Sendable {
    private let lock = NSLock()
    private var value = 0

    func next() -> Int {
        lock.withLock {
            defer { value += 1 }
            return value
        }
    }
}
