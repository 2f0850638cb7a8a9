import Foundation
import Model
import NIOConcurrencyHelpers
import Testing

@testable import Simulator

struct LimitTests {
    private static let path = "/crm/v3/objects/contacts?limit=1"

    @Test func theBurstLimitRollsAndSaysSoInHeaders() {
        let account = Account {
            $0.rateLimit = RateLimit(3, per: .seconds(10))
            $0.rejectedCallsCount = false
        }
        let first = account.get(Self.path)
        #expect(first.header("X-HubSpot-RateLimit-Max") == "3")
        #expect(first.header("X-HubSpot-RateLimit-Remaining") == "2")
        #expect(first.header("X-HubSpot-RateLimit-Interval-Milliseconds") == "10000")
        #expect(first.header("X-HubSpot-RateLimit-Daily") == "1000000")
        #expect(first.header("X-HubSpot-RateLimit-Daily-Remaining") == "999999")
        account.time += 5_000_000_000
        for _ in 0..<2 { #expect(account.get(Self.path).status == 200) }
        let refused = account.get(Self.path)
        #expect(refused.status == 429)
        #expect(refused.json["policyName"] as? String == "TEN_SECONDLY_ROLLING")
        #expect(refused.json["errorType"] as? String == "RATE_LIMIT")
        #expect(refused.json["status"] as? String == "error")
        #expect(refused.json["category"] == nil)
        #expect(refused.json["groupName"] as? String == "publicapi:private_app-api-calls-ten-secondly:62515:54321")
        #expect(refused.header("Retry-After") == nil)
        account.time += 5_000_000_000
        #expect(account.get(Self.path).status == 200)
        #expect(account.get(Self.path).status == 429)
    }

    @Test func refusedCallsUseUpTheLimit() {
        let account = Account {
            $0.rateLimit = RateLimit(1, per: .seconds(10))
            $0.retryAfterOn429 = true
        }
        #expect(account.get(Self.path).status == 200)
        account.time += 9_000_000_000
        let refused = account.get(Self.path)
        #expect(refused.status == 429)
        #expect(refused.header("Retry-After") == "10")
        account.time += 2_000_000_000
        #expect(account.get(Self.path).status == 429)
        account.time += 10_000_000_000
        #expect(account.get(Self.path).status == 200)
    }

    @Test func theDayHasItsOwnLimit() {
        let account = Account { $0.dailyLimit = 1 }
        #expect(account.get(Self.path).status == 200)
        #expect(account.get(Self.path).json["policyName"] as? String == "DAILY")
        #expect(account.post("/crm/v3/objects/contacts/search", [:]).json["policyName"] as? String == "DAILY")
    }

    @Test func theJudgeFindsTheBusiestWindow() {
        var log = CallLog()
        for time in [0, 4, 9, 10, 11, 12, 30] { log.arrived(Int64(time) * 1_000_000_000, at: .owners) }
        #expect(log.maxInAnyWindow(.seconds(10)) == 5)
        #expect(log.maxInAnyWindow(.seconds(3)) == 3)
        #expect(log.maxInAnyWindow(.seconds(10), .searches) == 0)
        log.arrived(31 * 1_000_000_000, at: .associations(.contacts, .deals, .read))
        #expect(log.maxInAnyWindow(.seconds(10)) == 5)
        #expect(log.maxInAnyWindow(.seconds(10), .associations) == 1)
    }

    /// 150 where all calls have 190; headers speak of these.
    @Test func associationsHaveALimitOfTheirOwnBesideTheGeneralOne() {
        let account = Account { $0.rateLimit = RateLimit(19, per: .seconds(10)) }
        func read() -> Answer { account.post("/crm/v4/associations/contacts/deals/batch/read", ["inputs": []]) }
        #expect(read().header("X-HubSpot-RateLimit-Max") == "15")
        for _ in 0..<13 { #expect(read().status != 429) }
        let last = read()
        #expect(last.status != 429 && last.header("X-HubSpot-RateLimit-Remaining") == "0")
        #expect(read().status == 429)
        // The refused one counts as well, in both.
        let other = account.get(Self.path)
        #expect(other.status == 200 && other.header("X-HubSpot-RateLimit-Remaining") == "2")
    }

    @Test func aWrongTokenIs401AndAMissingScope403() throws {
        let account = Account { $0.missingScopes = ["crm.objects.deals.read"] }
        let wrong = account.call("GET", Self.path, token: "pat-x")
        #expect(wrong.status == 401)
        #expect(wrong.json["category"] as? String == "INVALID_AUTHENTICATION")
        #expect(wrong.json["status"] as? String == "error")
        #expect(wrong.json["correlationId"] as? String == wrong.header("x-hubspot-correlation-id"))
        let refused = account.get("/crm/v3/objects/deals")
        #expect(refused.status == 403)
        #expect(refused.json["category"] as? String == "MISSING_SCOPES")
        let context = try #require(refused.errors.first?["context"] as? [String: [String]])
        #expect(context["requiredGranularScopes"] == ["crm.objects.deals.read"])
        #expect(account.get(Self.path).status == 200)
        #expect(account.post("/crm/v4/associations/contacts/deals/batch/read", ["inputs": []]).status == 403)
    }

    @Test func faultsStrikeAsOftenAsAskedAndTheSameWayForTheSameSeed() {
        func statuses(_ seed: UInt64) -> [Int] {
            let account = Account {
                $0.seed = seed
                $0.faults = .mixed(0.5)
            }
            let statuses = (0..<400).map { _ in
                let answer = account.get(Self.path)
                return answer.manner == .whole ? answer.status : answer.manner == .cut ? -1 : -2
            }
            #expect(account.api.state.withLockedValue { $0.log.faults } == statuses.count { $0 != 200 })
            return statuses
        }
        let all = statuses(1)
        #expect(all == statuses(1))
        #expect(all != statuses(2))
        #expect((150...250).contains(all.count { $0 != 200 }))
        for status in [429, 500, 502, -1, -2] { #expect(all.contains(status), "\(status)") }
    }

    @Test func eachFaultLooksLikeHubSpots() {
        func answer(_ change: (inout Faults) -> Void) -> Answer {
            Account { change(&$0.faults) }.get(Self.path)
        }
        #expect(answer { $0.badGateway = 1 }.header("Content-Type") == "text/html")
        #expect(answer { $0.serverError = 1 }.json["status"] as? String == "error")
        #expect(answer { $0.locked = 1 }.status == 423)
        let moving = answer {
            $0.moving = 1
            $0.movingRetryAfterSeconds = 7
        }
        #expect(moving.status == 477)
        #expect(moving.header("Retry-After") == "7")
        let garbled = answer { $0.notJSON = 1 }
        #expect(garbled.status == 200)
        #expect(garbled.json.isEmpty)
        #expect(answer { $0.down = true }.status == 503)
    }

    @Test func anAccountCanHaveFewProperties() {
        func names(_ standard: Int) -> Set<String> {
            let account = Account {
                $0.standardProperties = standard
                $0.customProperties = 0
            }
            return Set(account.get("/crm/properties/2026-09/contacts").results.compactMap { $0["name"] as? String })
        }
        let all = names(1000)
        #expect(names(30).count == 30 && names(30).isSubset(of: all) && all.count > 60)
        #expect(names(0).isSuperset(of: ["email", "createdate", "hs_object_id"]))
    }

    @Test func theAccountsSurroundingsHaveTheirShapes() throws {
        let account = Account { $0.customProperties = 1200 }
        let details = account.get("/account-info/2026-09/details")
        #expect(details.json["portalId"] as? Int == 62515)
        #expect(details.json["utcOffsetMilliseconds"] as? Int == 3_600_000)
        let usage = account.get("/account-info/v3/api-usage/daily/private-apps").results
        #expect(usage.first?["name"] as? String == "private-apps-api-calls-daily")
        #expect(usage.first?["currentUsage"] as? Int == 2)
        let properties = account.get("/crm/properties/2026-09/contacts").results
        #expect(properties.count > 1200)
        #expect(properties.compactMap { $0["name"] as? String }.joined(separator: ",").utf8.count > 20_000)
        let email = try #require(properties.first { $0["name"] as? String == "email" })
        #expect(email["hasUniqueValue"] as? Bool == true)
        let owner = try #require(properties.first { $0["name"] as? String == "hubspot_owner_id" })
        #expect(owner["externalOptions"] as? Bool == true)
        #expect((owner["options"] as? [Any])?.isEmpty == true)
        let made = account.post(
            "/crm/properties/2026-09/contacts",
            ["name": "brand_new", "label": "Brand new", "type": "string", "fieldType": "text", "groupName": "x"])
        #expect(made.status == 201)
        #expect(account.get("/crm/v3/properties/contacts/brand_new").json["label"] as? String == "Brand new")
        try account.world.update(.contacts, 101, ["brand_new": "1"])
        #expect(account.get("/crm/v3/objects/contacts/101?properties=brand_new").properties["brand_new"] as? String == "1")
        #expect(account.get("/crm/v3/objects/contacts/151?properties=brand_new").properties["brand_new"] is NSNull)
        let pipeline = try #require(account.get("/crm/pipelines/2026-09/deals").results.first)
        #expect(pipeline["id"] as? String == "default")
        let stages = try #require(pipeline["stages"] as? [[String: Any]])
        #expect((stages[5]["metadata"] as? [String: String]) == ["isClosed": "true", "probability": "1.0"])
        #expect(account.get("/crm/owners/2026-09").results.count == 5)
        #expect(account.get("/crm/v3/owners?archived=true").results.first?["userId"] is NSNull)
        let paged = account.get("/crm/owners/2026-09?limit=2")
        #expect(account.get("/crm/owners/2026-09?limit=2&after=\(try #require(paged.next))").ids.first == paged.next)
        let limits = try #require(account.get("/crm/limits/2026-09/records").json["hubspotDefinedObjectTypes"] as? [[String: Any]])
        #expect(limits.map { $0["usage"] as? Int } == [250, 40, 60])
    }
}
