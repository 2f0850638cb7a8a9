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

/// The event log, replay, and another try for what was given up.
@Suite(.scratchDatabase, .timeLimit(.minutes(3))) struct WebhookLogTests {
    private func event(_ type: RecordType, _ id: Int64, _ number: Int) -> String {
        """
        {"eventId":\(number),"portalId":62515,"occurredAt":1769081993375,"subscriptionType":"\(type.singular).propertyChange",\
        "attemptNumber":0,"objectId":\(id),"propertyName":"description","propertyValue":"MARKER"}
        """
    }

    private func log(_ bench: WebhookBench, _ query: String = "") async throws -> [[String: Any]] {
        let answer = try await bench.admin("GET", "webhooks" + query)
        #expect(answer.status == 200, "\(query): \(answer.text)")
        #expect(!answer.text.contains("MARKER"))
        return try #require(answer["webhooks"] as? [[String: Any]])
    }

    private func ids(_ bench: WebhookBench, _ query: String = "") async throws -> [String] {
        try await log(bench, query).compactMap { $0["id"] as? String }
    }

    /// In a millisecond of its own: those of one have no order.
    private func deliver(_ body: [UInt8], to bench: WebhookBench) async throws -> Int {
        try await Task.sleep(for: .milliseconds(2))
        return try await bench.deliver(body).status
    }

    private func deliver(_ body: String, to bench: WebhookBench) async throws -> Int { try await deliver(Array(body.utf8), to: bench) }

    private func settled(_ bench: WebhookBench) async throws {
        try await eventually { try await ids(bench, "?state=pending").isEmpty }
    }

    @Test func theLogTellsWhatCameAndWhatBecameOfIt() async throws {
        try await WebhookBench.use { bench async throws in
            let contact = bench.simulator.world.seededId(.contacts, 1), deal = bench.simulator.world.seededId(.deals, 2)
            for number in 1...3 { #expect(try await deliver("[\(event(.contacts, contact, number))]", to: bench) == 200) }
            #expect(try await deliver("[\(event(.deals, deal, 4)),\(event(.contacts, contact, 5))]", to: bench) == 200)
            #expect(try await deliver(WebhookFixtures.all["unknown-types"]!, to: bench) == 200)
            try await settled(bench)
            let all = try await log(bench)
            #expect(all.count == 5)
            #expect(
                all.allSatisfy {
                    $0["state"] as? String == "done" && $0["signature"] as? String == "v3" && $0["finishedAt"] is String
                })
            let names = all.compactMap { $0["id"] as? String }
            #expect(names == names.sorted(by: >))
            let first = try #require((all.last?["events"] as? [[String: Any]])?.first)
            #expect(first["type"] as? String == "contacts" && first["objectId"] as? String == "\(contact)")
            #expect(first["eventId"] as? Int == 1 && first["occurredAt"] as? String == "2026-01-22T11:39:53.375Z")
            #expect(try await ids(bench, "?limit=2") == Array(names.prefix(2)))
            #expect(try await ids(bench, "?limit=2&after=\(names[1])") == Array(names[2...3]))
            #expect(try await ids(bench, "?type=deals") == [names[1]])
            #expect(try await ids(bench, "?hubspotId=\(contact)&type=contacts") == Array(names[1...4]))
            #expect(try await ids(bench, "?hubspotId=1234567") == [])
            #expect(try await ids(bench, "?state=done").count == 5)
            #expect(try await ids(bench, "?state=failed") == [])
            let page = try await bench.admin("GET", "webhooks?limit=2")
            #expect(((page["paging"] as? [String: Any])?["next"] as? [String: Any])?["after"] as? String == names[1])
            #expect(try await bench.store.mirror.record(.contacts, "\(contact)") != nil)
            #expect(try await bench.store.mirror.record(.deals, "\(deal)") != nil)
        }
    }

    @Test func whatHubSpotDoesNotAnswerStaysPendingUntilItDoes() async throws {
        try await WebhookBench.use { bench async throws in
            bench.simulator.faults.down = true
            let contact = bench.simulator.world.seededId(.contacts, 1)
            #expect(try await bench.deliver("[\(event(.contacts, contact, 1))]").status == 200)
            #expect(try await log(bench).map { $0["state"] as? String } == ["pending"])
            #expect(try await ids(bench, "?state=pending").count == 1)
            bench.simulator.faults.down = false
            try await settled(bench)
            #expect(try await log(bench, "?state=done").count == 1)
            #expect(try await bench.store.mirror.record(.contacts, "\(contact)") != nil)
        }
    }

    @Test(arguments: ["limit=0", "limit=501", "limit=x", "type=tickets", "state=lost", "hubspotId=abc"])
    func badValuesAreNamed(query: String) async throws {
        try await WebhookBench.use { bench async throws in
            let answer = try await bench.admin("GET", "webhooks?\(query)")
            #expect(answer.status == 400 && answer.code == "bad_parameter")
            #expect((answer["error"] as? String)?.hasPrefix(String(query.prefix { $0 != "=" })) == true)
        }
    }

    @Test(arguments: [("GET", "webhooks"), ("POST", "webhooks/replay?id=x"), ("POST", "tasks/retry")])
    func nothingIsToldOrDoneWithoutALogin(method: String, path: String) async throws {
        try await WebhookBench.use { bench async throws in
            for key in [nil, "wrong", ""] {
                let answer = try await bench.admin(method, path, key: key)
                #expect(answer.status == 401 && answer.code == "unauthorized")
            }
        }
    }

    // MARK: Replay

    private func name(_ bench: WebhookBench, _ id: Int64) async throws -> String? {
        try await bench.store.mirror.record(.companies, "\(id)")?["name"]?.string
    }

    /// A change that no webhook told of is seen when an old delivery is replayed: the record is read again.
    @Test func aReplayReadsTheRecordsAgain() async throws {
        try await WebhookBench.use { bench async throws in
            let world = bench.simulator.world
            let companies = (0..<3).map { world.seededId(.companies, $0) }
            for (number, company) in companies.enumerated() {
                _ = try await deliver("[\(event(.companies, company, number))]", to: bench)
            }
            try await settled(bench)
            let names = try await ids(bench).reversed().map(\.self)
            for company in companies { try world.update(.companies, company, ["name": "Changed"]) }
            for company in companies { #expect(try await name(bench, company) != "Changed") }

            let one = try await bench.admin("POST", "webhooks/replay?id=\(names[0])")
            #expect(one.status == 202 && one["replayed"] as? Int == 1)
            try await eventually { try await name(bench, companies[0]) == "Changed" }
            #expect(try await name(bench, companies[1]) != "Changed")
            try await settled(bench)

            let range = try await bench.admin("POST", "webhooks/replay?since=2026-01-01T00:00:00Z&until=2999-01-01T00:00:00Z")
            #expect(range.status == 202 && range["replayed"] as? Int == 3)
            try await eventually { try await name(bench, companies[1]) == "Changed" }
            try await eventually { try await name(bench, companies[2]) == "Changed" }
            try await settled(bench)
            #expect(try await ids(bench, "?state=done").count == 3)
            let none = try await bench.admin("POST", "webhooks/replay?since=2999-01-01T00:00:00Z")
            #expect(none.status == 202 && none["replayed"] as? Int == 0)
        }
    }

    @Test func aReplayOfNothingInParticularIsRefused() async throws {
        try await WebhookBench.use { bench async throws in
            let unknown = try await bench.admin("POST", "webhooks/replay?id=unknown")
            #expect(unknown.status == 404 && unknown.code == "unknown_delivery")
            for query in ["", "?until=2999-01-01T00:00:00Z", "?since=yesterday"] {
                let answer = try await bench.admin("POST", "webhooks/replay\(query)")
                #expect(answer.status == 400 && answer.code == "bad_parameter", "\(query)")
            }
        }
    }

    // MARK: Retry

    /// MongoDB refuses one record: it is given up with its message, the others are done, and a retry heals it once it may.
    @Test func aRecordThatWasGivenUpIsHealedByARetry() async throws {
        try await WebhookBench.use { bench async throws in
            let world = bench.simulator.world
            let bad = world.seededId(.companies, 1), good = world.seededId(.companies, 2)
            let body = "[\(event(.companies, bad, 1)),\(event(.companies, good, 2))]"
            _ = try await bench.deliver(body)
            try await settled(bench)
            try world.update(.companies, bad, ["name": "Changed"])
            try world.update(.companies, good, ["name": "Changed"])
            try await validate(
                bench, ["$or": [["hubspotId": ["$ne": .string("\(bad)")]], ["syncStatus": "error"]]])
            _ = try await bench.deliver(body)
            try await settled(bench)
            let failed = try #require(try await log(bench, "?state=failed").first)
            #expect(failed["failed"] as? [String] == ["companies:\(bad)"])
            #expect(try await name(bench, good) == "Changed")
            #expect(try await name(bench, bad) != "Changed")
            let stored = try #require(try await bench.store.mirror.record(.companies, "\(bad)"))
            #expect(stored["syncStatus"] == "error" && stored["syncError"]?.string?.isEmpty == false)

            try await validate(bench, [:])
            let retry = try await bench.admin("POST", "tasks/retry")
            #expect(retry.status == 202 && retry["records"] as? Int == 1 && retry["deliveries"] as? Int == 1)
            try await eventually { try await name(bench, bad) == "Changed" }
            try await settled(bench)
            #expect(try await ids(bench, "?state=failed") == [])
            #expect(try await bench.store.mirror.record(.companies, "\(bad)")?["syncStatus"] == "synced")
            let nothing = try await bench.admin("POST", "tasks/retry")
            #expect(nothing["records"] as? Int == 0 && nothing["deliveries"] as? Int == 0)
        }
    }

    private func validate(_ bench: WebhookBench, _ validator: BSONDocument) async throws {
        _ = try await bench.database.run { try $0.command(["collMod": "companies", "validator": .document(validator)]) }
    }
}
