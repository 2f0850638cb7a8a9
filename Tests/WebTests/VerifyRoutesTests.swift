import Bytes
import Foundation
import Model
import Mongo
import Simulator
import Sync
import TestSupport
import Testing

@testable import Web

@Suite(.scratchDatabase, .timeLimit(.minutes(1))) struct VerifyRoutesTests {
    static let path = "/api/admin/hubspot/verify"
    static let marker = "marker-of-a-value-91c0"

    /// Spoils one property of a contact.
    private func spoil(_ site: Site) async throws -> String {
        let id = "\(site.bench.simulator.world.seededId(.contacts, 4))"
        _ = try await ScratchDatabase.current.run {
            try $0.updateOne(["_id": .string(id)], update: ["$set": ["properties.email": .string(Self.marker)]], in: "contacts")
        }
        return id
    }

    @Test func aDifferenceIsToldByNameAndRepaired() async throws {
        try await Site.use { site in
            try await site.sync("all")
            let id = try await spoil(site)
            let before = try await site.send("GET", StatusTests.status)
            #expect(before.json["verify"] is NSNull)
            let found = try await site.send("POST", "\(Self.path)?sample=all")
            #expect(found.status == 200 && found.json["checked"] as? Int == 350 && found.json["sample"] as? String == "all")
            let differences = try #require(found.json["differences"] as? [[String: Any]])
            #expect(differences.count == 1 && differences[0]["id"] as? String == id && differences[0]["kind"] as? String == "properties")
            #expect(differences[0]["names"] as? [String] == ["email"] && differences[0]["type"] as? String == "contacts")
            #expect(!found.text.contains(Self.marker) && !found.text.contains("@"))

            let status = try await site.send("GET", StatusTests.status)
            #expect((status.json["verify"] as? [String: Any])?["different"] as? Int == 1)
            let metrics = try await site.sendOpenly("GET", "/metrics").text
            #expect(metrics.contains("hubspot_sync_verify_different{type=\"contacts\"} 1\n"), "\(metrics)")
            #expect(metrics.contains("hubspot_sync_verify_checked{type=\"deals\"} 60\n") && metrics.contains("verify_age_seconds "))

            let repaired = try await site.send("POST", "\(Self.path)?sample=all&types=contacts&repair=true")
            #expect(repaired.json["different"] as? Int == 1 && repaired.json["repaired"] as? Int == 1)
            #expect((repaired.json["byType"] as? [String: Any])?.keys.sorted() == ["contacts"])
            #expect(try await site.send("POST", "\(Self.path)?sample=all").json["different"] as? Int == 0)
        }
    }

    @Test(arguments: ["sample=0", "sample=-1", "sample=100001", "sample=some", "sample=1.5", "types=tickets", "types=contacts,tickets", "repair=perhaps"])
    func aBadValueIsRefusedByName(query: String) async throws {
        try await Site.use { site in
            let reply = try await site.send("POST", "\(Self.path)?\(query)")
            #expect(reply.isError(400, "bad_parameter") && (reply.json["error"] as? String)?.hasPrefix("\(query.prefix { $0 != "=" }) must be ") == true)
        }
    }

    @Test func itNeedsALoginAndPost() async throws {
        try await Site.use { site in
            let reply = try await site.sendOpenly("POST", Self.path)
            #expect(reply.status == 401)
            #expect(try await site.send("GET", Self.path).isError(405, "method_not_allowed"))
        }
    }

    @Test func aSecondOneAtTheSameTimeIsRefused() async throws {
        try await Site.use(account: { $0.latency = .milliseconds(100) }) { site in
            async let first = site.send("POST", "\(Self.path)?types=deals")
            try await eventually { site.bench.simulator.callCount > 0 }
            #expect(try await site.send("POST", Self.path).isError(409, "verify_running"))
            #expect(try await first.status == 200)
        }
    }

    @Test func withoutMongoDBOrHubSpotItSaysSo() async throws {
        try await Site.use(database: try .away()) { site in
            let reply = try await site.send("POST", Self.path)
            #expect(reply.status == 503)
            site.bench.simulator.token = "another"
            #expect(try await site.send("POST", Self.path).isError(502, "hubspot_unauthorized"))
        }
    }
}
