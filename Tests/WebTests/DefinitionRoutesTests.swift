import Foundation
import Model
import Simulator
import Sync
import TestSupport
import Testing

@testable import Web

@Suite(.scratchDatabase, .timeLimit(.minutes(1))) struct DefinitionRoutesTests {
    static let base = "/api/admin/hubspot"
    static let lists = RecordType.allCases.map { ("properties/\($0.rawValue)", "properties") } + [("pipelines", "pipelines"), ("owners", "owners")]

    private func elements(_ reply: Reply, _ name: String) -> [[String: Any]] { reply.json[name] as? [[String: Any]] ?? [] }

    @Test(arguments: lists) func aListIsTheSameFromBothSources(path: String, name: String) async throws {
        try await Site.use { site in
            await site.bench.definitions.refresh()
            let mirrored = try await site.send("GET", "\(Self.base)/\(path)"), live = try await site.send("GET", "\(Self.base)/\(path)?useSync=false")
            #expect(mirrored.status == 200 && mirrored.json["source"] as? String == "mongodb" && mirrored.json["synced"] as? Bool == true)
            #expect(live.status == 200 && live.json["source"] as? String == "hubspot" && live.json["synced"] as? Bool == false)
            func withoutTimes(_ reply: Reply) -> [NSDictionary] {
                elements(reply, name).map { element in NSDictionary(dictionary: element.filter { $0.key != "lastSyncedAt" }) }
            }
            #expect(withoutTimes(mirrored) == withoutTimes(live))
            #expect(mirrored.json["total"] as? Int == elements(mirrored, name).count && elements(mirrored, name).count > 1)
            #expect(!mirrored.text.contains("\"_id\"") && !mirrored.text.contains("contentHash"))
        }
    }

    @Test func archivedOnesAreListedWhenAsked() async throws {
        try await Site.use { site in
            await site.bench.definitions.refresh()
            for source in ["", "&useSync=false"] {
                let left = try await site.send("GET", "\(Self.base)/owners?archived=true\(source)")
                #expect(elements(left, "owners").compactMap { $0["firstName"] as? String } == ["Left"])
            }
        }
    }

    @Test(arguments: lists) func withoutMongoDBHubSpotAnswers(path: String, name: String) async throws {
        try await Site.use(database: try .away()) { site in
            let reply = try await site.send("GET", "\(Self.base)/\(path)")
            #expect(reply.status == 200 && reply.json["source"] as? String == "hubspot" && reply.json["fallback"] as? Bool == true)
            #expect(elements(reply, name).count > 1)
        }
    }

    @Test func whatIsWrongIsRefused() async throws {
        try await Site.use { site in
            for (path, _) in Self.lists {
                #expect(try await site.sendOpenly("GET", "\(Self.base)/\(path)").status == 401)
                for query in ["archived=perhaps", "useSync=2"] {
                    #expect(try await site.send("GET", "\(Self.base)/\(path)?\(query)").isError(400, "bad_parameter"))
                }
            }
            #expect(try await site.send("GET", "\(Self.base)/properties/tickets").isError(404, "not_found"))
            site.bench.simulator.missingScopes = ["crm.objects.owners.read"]
            let refused = try await site.send("GET", "\(Self.base)/owners?useSync=false")
            #expect(refused.isError(502, "hubspot_missing_scopes") && refused.text.contains("crm.objects.owners.read"))
        }
    }

    @Test func theStatusTellsHowTheyStand() async throws {
        try await Site.use(account: { $0.missingScopes = ["crm.objects.owners.read"] }) { site in
            await site.bench.definitions.refresh()
            let lists = try #require(try await site.send("GET", StatusTests.status).json["definitions"] as? [String: [String: Any]])
            #expect(lists["pipelines:deals"]?["total"] as? Int == 2 && lists["pipelines:deals"]?["error"] is NSNull)
            #expect((lists["owners"]?["error"] as? String)?.contains("crm.objects.owners.read") == true)
        }
    }
}
