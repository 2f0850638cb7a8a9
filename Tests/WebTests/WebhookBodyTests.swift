import Bytes
import Foundation
import Model
import Rules
import Testing
import TestSupport

@testable import Web

@Suite struct WebhookBodyTests {
    // MARK: Fixtures

    private static let contact = "508369434347", company = "8380080352", deal = "267448862446"

    /// What the files say that are not `<type>.<verb>` or `object.<verb>.<type>`: an event a line.
    private static let meanings: [String: [String]] = [
        "contact.privacyDeletion": ["contacts privacyDeletion \(contact)"],
        "privacy-deletion-before-deletion": ["contacts privacyDeletion \(contact)", "contacts deletion \(contact)"],
        "privacy-deletion-after-deletion": ["contacts deletion \(contact)", "contacts privacyDeletion \(contact)"],
        "merge-into-third-id": ["contacts merge 777: 111 + 222 = 777", "contacts deletion 222"],
        "merge-primary-kept": ["contacts merge 111: 111 + 222 = 111", "contacts deletion 222"],
        "merge-of-several": ["companies merge 888: 333 + 444 + 555 + 666 = 888"],
        "merge-without-new-id": ["deals merge nil: 111 + 222 = nil"],
        "merge-deletion-first": ["deals deletion 222", "deals merge 777: 111 + 222 = 777"],
        "association-removed": ["contacts associationChange \(contact): contacts:\(contact) to companies:\(company)"],
        "association-both-directions": [
            "contacts associationChange \(contact): contacts:\(contact) to companies:\(company)",
            "companies associationChange \(company): companies:\(company) to contacts:\(contact)",
        ],
        "association-same-type": ["contacts associationChange \(contact): contacts:\(contact) to contacts:508369434348"],
        "association-with-unmirrored-type": [
            "deals associationChange \(deal): deals:\(deal) to nil", "deals associationChange \(deal): deals:\(deal) to nil",
        ],
        "ui-create-creation-last": ["firstname", "lastname", "email", "lifecyclestage", "hubspot_owner_id"].map {
            "contacts propertyChange 508369434352 \($0)"
        } + ["contacts creation 508369434352"],
        "creation-flag-new": ["contacts creation 123"],
        "retried": ["companies deletion \(company)"],
        "duplicates": Array(repeating: "deals propertyChange \(deal) dealstage", count: 3),
        "same-event-id-different-change": [
            "deals propertyChange \(deal) dealstage", "deals propertyChange 267448862447 dealstage",
        ],
        "newest-first": Array(repeating: "contacts propertyChange \(contact) firstname", count: 2),
        "life-of-a-record": [
            "contacts restore \(contact)", "contacts propertyChange \(contact) firstname", "contacts deletion \(contact)",
            "contacts creation \(contact)",
        ],
        "property-cleared": Array(repeating: "contacts propertyChange \(contact) phone", count: 3),
        "two-portals": ["contacts creation \(contact)", "contacts creation 508369434356"],
        "another-portal": ["contacts propertyChange \(contact) email"],
        "string-ids": ["companies propertyChange \(company) name"],
        "other-json-types": [
            "contacts propertyChange \(contact) age", "contacts propertyChange nil flag",
            "contacts merge 777: 111 + 222 + 333 = 777",
            "contacts merge nil: 111 + 222 = 777",
            "contacts associationChange \(contact): contacts:\(contact) to nil",
        ],
        "missing-fields": [
            "contacts creation \(contact)", "contacts deletion 508369434348", "companies propertyChange \(company)",
            "deals associationChange \(deal): deals:\(deal) to nil", "contacts creation nil", "nil creation \(contact)",
            "nil nil \(contact)", "nil nil nil",
        ],
        "unknown-fields": ["contacts creation \(contact)"],
        "event-type-key": ["deals creation \(deal)"],
        "unknown-types": [
            "contacts nil \(contact)", "nil creation 99", "nil creation 98", "nil propertyChange 97 price", "nil restore 96",
            "nil nil 95",
            "nil nil 94", "nil nil 1", "nil nil 1",
        ],
        "unknown-among-known": ["contacts creation \(contact)", "nil deletion 99", "deals creation \(deal)"],
        "ids-large-and-small": ["1", "4294967296", "870000000000", "9007199254740992", "9223372036854775807"].map {
            "contacts creation \($0)"
        },
        "ids-impossible": Array(repeating: "contacts creation nil", count: 8),
        "whitespace-and-escapes": ["contacts propertyChange \(contact) firstname"],
        "repeated-key": ["contacts creation 508369434348"],
        "empty": [],
    ]

    private static func describe(_ event: WebhookEvent) -> String {
        var text = "\(event.type?.rawValue ?? "nil") \(event.verb?.rawValue ?? "nil") \(event.objectId ?? "nil")"
        if event.verb == .merge {
            text += ": " + ([event.primaryId ?? "nil"] + event.mergedIds).joined(separator: " + ") + " = \(event.newId ?? "nil")"
        }
        if event.verb == .associationChange { text += ": \(event.from?.description ?? "nil") to \(event.to?.description ?? "nil")" }
        return text + (event.propertyName.map { " " + $0 } ?? "")
    }

    private func events(_ name: String) throws -> [WebhookEvent] {
        try WebhookBody.events(in: try #require(WebhookFixtures.all[name]))
    }

    @Test(arguments: meanings.keys.sorted()) func aFixtureSaysWhatItsReadmeSays(name: String) throws {
        #expect(try events(name).map(WebhookBodyTests.describe) == WebhookBodyTests.meanings[name])
    }

    /// The classic and the generic family say the same in their own ways.
    @Test(arguments: RecordType.allCases, [false, true]) func everyVerbOfBothFamiliesIsUnderstood(type: RecordType, isGeneric: Bool)
        throws
    {
        let id = [
            RecordType.contacts: WebhookBodyTests.contact, .companies: WebhookBodyTests.company, .deals: WebhookBodyTests.deal,
        ][type]!
        for verb in WebhookEvent.Verb.allCases where verb != .privacyDeletion {
            let name = isGeneric ? "object.\(verb.rawValue).\(type.singular)" : "\(type.singular).\(verb.rawValue)"
            let events = try events(name)
            let event = try #require(events.first, "\(name)")
            #expect(events.count == 1 && event.type == type && event.verb == verb, "\(name)")
            #expect(event.subscriptionType == "\(isGeneric ? "object" : type.singular).\(verb.rawValue)")
            #expect(event.occurredAt == Timestamp(milliseconds: 1_769_081_993_375), "\(name)")
            #expect(event.portalId == 62515, "\(name)")
            #expect(event.attemptNumber == 0, "\(name)")
            switch verb {
            case .merge:
                #expect(event.primaryId == id && event.mergedIds.count == 1 && event.newId == event.objectId, "\(name)")
                #expect(event.survivorId == event.newId)
            case .associationChange:
                #expect(event.from == RecordKey(type, id), "\(name)")
                #expect(event.to != nil && event.to?.type != type, "\(name)")
            default: #expect(event.objectId == id, "\(name)")
            }
            #expect((event.propertyName != nil) == (verb == .propertyChange), "\(name)")
        }
    }

    @Test func theLargestDocumentedBatchIsReadWhole() throws {
        let events = try events("batch-of-100")
        #expect(events.count == 100)
        #expect(events.allSatisfy { $0.type != nil && $0.objectId != nil && $0.occurredAt != nil })
        for type in RecordType.allCases { #expect(Set(events.filter { $0.type == type }.map(\.objectId)).count == 17, "\(type)") }
    }

    /// One after the other in one body, as nothing of an event may be taken for the next one's.
    @Test func everyEventIsReadByItself() throws {
        let all: [(subscriptionType: String, objectTypeId: String, type: RecordType?, verb: WebhookEvent.Verb?)] = [
            ("contact.creation", "0-2", .contacts, .creation), ("contact.creation", "0-1", .contacts, .creation), ("contact", "0-1", nil, nil),
            ("contact.creation", "0-1", .contacts, .creation), ("object.merge", "0-2", .companies, .merge), ("object.merge", "0-3", .deals, .merge),
            ("object.merge", "0-5", nil, .merge), ("deal.unknown", "0-1", .deals, nil), ("", "0-1", nil, nil), (".creation", "0-1", nil, .creation),
            ("ticket.deletion", "0-1", nil, .deletion), ("company.\\u0064eletion", "0-1", .companies, .deletion), ("company.deletion", "0-1", .companies, .deletion),
        ]
        let body = all.map { #"{"subscriptionType":"\#($0.subscriptionType)","objectTypeId":"\#($0.objectTypeId)","objectId":1}"# }.joined(separator: ",")
        let events = try WebhookBody.events(in: Array("[\(body)]".utf8))
        #expect(events.count == all.count)
        for (event, expected) in zip(events, all) {
            #expect(event.subscriptionType == expected.subscriptionType.replacing("\\u0064", with: "d"))
            #expect(event.type == expected.type && event.verb == expected.verb, "\(expected)")
        }
    }

    /// Numbers and instants of every file against another reader of JSON.
    @Test(arguments: WebhookFixtures.names) func plainNumbersAreReadAsTheyStand(name: String) throws {
        let body = try #require(WebhookFixtures.all[name])
        let objects = try #require(try JSONSerialization.jsonObject(with: Data(body)) as? [[String: Any]])
        let events = try events(name)
        #expect(events.count == objects.count)
        for (event, object) in zip(events, objects) {
            /// Only what is an integer beyond doubt: not true, not 1.0.
            func integer(_ key: String) -> Int64? {
                guard let number = object[key] as? NSNumber, !(object[key] is Bool) || number != 0 && number != 1 else {
                    return nil
                }
                return Int64(number.stringValue)
            }
            if let id = integer("objectId"), id > 0, name != "repeated-key" { #expect(event.objectId == String(id)) }
            if let portal = integer("portalId"), name != "whitespace-and-escapes" { #expect(event.portalId == portal) }
            if let attempt = integer("attemptNumber") { #expect(event.attemptNumber == attempt) }
            if let occurredAt = integer("occurredAt"), event.occurredAt != nil {
                #expect(event.occurredAt?.milliseconds == occurredAt)
            }
            if let text = object["subscriptionType"] as? String ?? object["eventType"] as? String {
                #expect(event.subscriptionType == text)
            }
        }
    }

    @Test func everyFixtureIsCovered() {
        let families = ["contact.", "company.", "deal.", "object.", "property-"]
        for name in WebhookFixtures.names where WebhookBodyTests.meanings[name] == nil && name != "batch-of-100" {
            #expect(families.contains { name.hasPrefix($0) }, "\(name) has no expectation")
        }
        for name in WebhookFixtures.names where name.hasPrefix("property-") && WebhookBodyTests.meanings[name] == nil {
            let events = try? WebhookBody.events(in: WebhookFixtures.all[name] ?? [])
            #expect(
                events?.isEmpty == false && events?.allSatisfy { $0.verb == .propertyChange && $0.propertyName != nil } == true,
                "\(name)")
        }
    }

    // MARK: What is no webhook

    @Test(arguments: [
        "", " ", "{}", "null", "1", "\"[]\"", "[1]", "[null]", "[[]]", "[{}", "[{},]", "[{}]]", "[{}] x", "[{\"a\"}]", "[{\"a\":}]",
        "{\"a\":[]}",
        "[{\"objectId\":01}]", "[{'a':1}]", "[{\"a\":\"\u{1}\"}]", "\u{FEFF}[]", "[{}]\0",
    ]) func whatIsNoArrayOfObjectsIsRefused(body: String) {
        #expect(throws: JSONError.self) { try WebhookBody.events(in: Array(body.utf8)) }
    }

    @Test func invalidUTF8IsRefused() {
        let body = Array("[{\"propertyName\":\"".utf8) + [0xC3, 0x28] + Array("\"}]".utf8)
        #expect(throws: JSONError.self) { try WebhookBody.events(in: body) }
    }

    @Test func nestingIsBounded() {
        let body = Array("[{\"x\":".utf8) + [UInt8](repeating: UInt8(ascii: "["), count: 1_000_000)
        #expect(throws: JSONError.self) { try WebhookBody.events(in: body) }
    }

    // MARK: Size

    /// A body may be 16 MB, an event three bytes and an id of a merge two.
    @Test func eventsAndTheIdsOfMergesAreCountedTogether() throws {
        func body(_ events: Int, merged: Int) -> [UInt8] {
            let ids = String(repeating: "1,", count: merged).dropLast()
            return Array(("[" + String(repeating: "{},", count: events) + "{\"mergedObjectIds\":[\(ids)]}]").utf8)
        }
        let most = WebhookBody.eventsMax
        #expect(try WebhookBody.events(in: body(most - 4, merged: 3)).count == most - 3)
        for (events, merged) in [(most - 4, 4), (most, 0), (0, most), (5_000_000, 0), (0, 8_000_000)] {
            #expect(throws: WebhookBody.TooManyEvents.self, "\(events) events, \(merged) ids") {
                try WebhookBody.events(in: body(events, merged: merged))
            }
        }
    }

    @Test func aLongTextIsKeptInPart() throws {
        for (text, kept) in [(String(repeating: "a", count: 256), 256), (String(repeating: "é", count: 100_000), 256), ("a" + String(repeating: "é", count: 200), 258)] {
            let event = try #require(
                try WebhookBody.events(in: Array("[{\"subscriptionType\":\"\(text)\",\"propertyName\":\"\(text)\"}]".utf8)).first)
            #expect(event.subscriptionType.utf8.count == kept)
            #expect(event.propertyName == event.subscriptionType)
        }
    }

    // MARK: Mutations

    private static let tokens = [
        "[", "]", "{", "}", "\"", ",", ":", "\\", "\\u", "\\ud800", "null", "true", "-", "1e999", "9223372036854775808", "\u{0}",
        "\u{7F}",
        "\"mergedObjectIds\":[", "\"objectId\":", "\"subscriptionType\":\"contact.merge\"", "\"associationType\":\"_TO_\"",
    ].map { Array($0.utf8) }

    /// Whatever happens to a body, it is read or refused; what is read names only ids that HubSpot could have given.
    @Test(arguments: Array(1...40) as [UInt64]) func noMutationTraps(seed: UInt64) {
        let bodies = WebhookFixtures.names.filter { $0 != "property-long" && $0 != "batch-of-100" }.compactMap {
            WebhookFixtures.all[$0]
        }
        var random = SeededRandom(state: seed)
        var read = 0
        for _ in 0..<200 {
            var body = bodies.randomElement(using: &random)!
            for _ in 0..<Int.random(in: 1...6, using: &random) where !body.isEmpty {
                let place = Int.random(in: 0..<body.count, using: &random)
                let end = min(body.count, place + Int.random(in: 1...20, using: &random))
                switch Int.random(in: 0..<6, using: &random) {
                case 0: body[place] = UInt8.random(in: 0...255, using: &random)
                case 1: body[place] ^= 1 << UInt8.random(in: 0...7, using: &random)
                case 2: body.removeSubrange(place..<end)
                case 3: body.insert(contentsOf: body[place..<end], at: Int.random(in: 0...body.count, using: &random))
                case 4: body.insert(contentsOf: WebhookBodyTests.tokens.randomElement(using: &random)!, at: place)
                default: body.removeSubrange(place...)
                }
            }
            guard let events = try? WebhookBody.events(in: body) else { continue }
            read += 1
            for key in events.flatMap(\.wishes).map(\.key) {
                #expect(Int64(key.id).map { $0 > 0 && String($0) == key.id } == true, "seed \(seed): \(key)")
            }
        }
        #expect(read > 0, "seed \(seed): all of them were refused, so the mutations try little")
    }
}
