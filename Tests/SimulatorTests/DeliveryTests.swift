import Foundation
import Logging
import Model
import Signature
import Testing

@testable import Simulator

@Suite(.timeLimit(.minutes(1)))
struct DeliveryTests {
    /// Runs a simulator that delivers to a receiver; `body` makes changes, and all is delivered when it returns.
    private func delivering(
        to receiver: Receiver = Receiver(), _ change: (inout SimulatorSettings) -> Void = { _ in },
        _ body: (Simulator) async throws -> Void
    ) async throws -> (receiver: Receiver, counters: DeliveryCounters, url: String) {
        let url = try await receiver.start()
        var settings = SimulatorSettings()
        settings.webhookURL = url
        settings.webhooks.gatheringTime = .milliseconds(1)
        settings.webhooks.retryTimeScale = 1e-9
        change(&settings)
        let simulator = Simulator(settings: settings, logger: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() }))
        try await simulator.start()
        do { try await body(simulator) } catch {
            await simulator.stop()
            await receiver.stop()
            throw error
        }
        await simulator.deliveriesSettled()
        let counters = simulator.deliveries
        await simulator.stop()
        await receiver.stop()
        return (receiver, counters, url)
    }

    private func types(_ receiver: Receiver) -> [String] { receiver.events.compactMap { $0["subscriptionType"] as? String } }

    @Test func aDeliveryCarriesHubSpotsHeadersAndBothSignatures() async throws {
        let (receiver, counters, url) = try await delivering { simulator in
            try simulator.world.update(.contacts, 101, ["firstname": "Zoë 東京 🚀"])
        }
        let call = try #require(receiver.calls.first)
        #expect(call.method == "POST")
        #expect(call.target == "/hubspot/webhooks")
        #expect(call.header("content-type") == "application/json")
        #expect(call.header("user-agent")?.hasPrefix("HubSpot Connect 2.0 (http://dev.hubspot.com/)") == true)
        #expect(call.header("x-hubspot-timeout-millis") == "10000")
        #expect(call.header("x-hubspot-signature-version") == "v1")
        let timestamp = try #require(call.header("x-hubspot-request-timestamp").flatMap { Int64($0) })
        let signer = try Signer(secret: SimulatorSettings().clientSecret)
        #expect(call.header("x-hubspot-signature") == signer.v1(body: call.body))
        #expect(
            call.header("x-hubspot-signature-v3") == signer.v3(method: "POST", uri: url, body: call.body, timestampMs: timestamp))
        #expect(counters.accepted == 1 && counters.acceptedEvents == 1 && counters.failed == 0 && counters.pending == 0)
        #expect(counters.p50 > 0 && counters.max >= counters.p99)
        let event = try #require(receiver.events.first)
        #expect(
            Set(event.keys) == [
                "eventId", "subscriptionId", "portalId", "appId", "occurredAt", "subscriptionType", "attemptNumber", "objectId",
                "propertyName", "propertyValue", "changeSource", "sourceId",
            ])
        #expect(event["objectId"] as? Int64 == 101)
        #expect(event["attemptNumber"] as? Int == 0)
        #expect(event["propertyValue"] as? String == "Zoë 東京 🚀")
    }

    /// The string that is signed is the published one: section 4.2 of the facts, `v3-hooks` and `v1-sdk-node-php-docs`.
    @Test func signaturesEqualThePublishedVectors() throws {
        let body = Array(
            #"[{"eventId":1,"subscriptionId":12345,"portalId":62515,"occurredAt":1564113600000,"subscriptionType":"contact.creation","attemptNumber":0,"objectId":123,"changeSource":"CRM","changeFlag":"NEW","appId":54321}]"#
                .utf8)
        let headers = try Signer(secret: SimulatorSettings().clientSecret).headers(
            method: "POST", uri: "https://hooks.example.com/hubspot/webhooks", body: body, timestampMs: 1_700_000_000_000)
        let values = Dictionary(uniqueKeysWithValues: headers)
        #expect(values["X-HubSpot-Signature"] == "232db2615f3d666fe21a8ec971ac7b5402d33b9a925784df3ca654d05f4817de")
        #expect(values["X-HubSpot-Signature-v3"] == "fOulotBa9veptmISe0kPWWSrHkeD2Hix93xil0CToqU=")
    }

    @Test func aCreationComesAfterItsPropertyChanges() async throws {
        let (receiver, _, _) = try await delivering { simulator in
            try simulator.world.create(.deals, ["dealname": "D", "amount": "1", "contract_start_date": "2025-07-15"])
        }
        #expect(receiver.calls.count == 1)
        #expect(types(receiver) == Array(repeating: "deal.propertyChange", count: 3) + ["deal.creation"])
        #expect(
            receiver.events.first { $0["propertyName"] as? String == "contract_start_date" }?["propertyValue"] as? String
                == "1752537600000")
        #expect(receiver.events.last?["changeFlag"] as? String == "CREATED")
    }

    @Test func everyKindOfChangeTellsWhatHubSpotTells() async throws {
        let (receiver, _, _) = try await delivering { simulator in
            let world = simulator.world
            let merged = try world.merge(.contacts, primary: 101, other: 151)
            try world.archive(.companies, 101)
            try world.restore(.companies, 101)
            try world.associate(.contacts, merged, .companies, 451, primary: true)
            world.dissociate(.contacts, merged, .companies, 451)
            try world.gdprDelete(201)
        }
        let events = receiver.events
        let merge = try #require(events.first { $0["subscriptionType"] as? String == "contact.merge" })
        #expect(merge["primaryObjectId"] as? Int64 == 101)
        #expect(merge["mergedObjectIds"] as? [Int64] == [151])
        #expect(merge["newObjectId"] as? Int64 == merge["objectId"] as? Int64)
        #expect(events.contains { $0["subscriptionType"] as? String == "contact.deletion" && $0["objectId"] as? Int64 == 151 })
        #expect(!types(receiver).contains("contact.creation"))
        #expect(
            types(receiver).filter { $0.hasPrefix("company.") && !$0.hasSuffix("associationChange") } == [
                "company.deletion", "company.restore",
            ])
        let associations = events.filter { ($0["subscriptionType"] as? String)?.hasSuffix("associationChange") == true }
        #expect(Set(associations.compactMap { $0["associationType"] as? String }) == ["CONTACT_TO_COMPANY", "COMPANY_TO_CONTACT"])
        #expect(associations.count == 8)
        #expect(associations.count { $0["isPrimaryAssociation"] as? Bool == true } == 4)
        #expect(associations.allSatisfy { $0["objectId"] == nil })
        let privacy = events.filter { $0["objectId"] as? Int64 == 201 }.compactMap { $0["subscriptionType"] as? String }
        #expect(privacy.sorted() == ["contact.deletion", "contact.privacyDeletion"])
    }

    @Test func genericPayloadsNameTheTypeById() async throws {
        let (receiver, _, _) = try await delivering({ $0.webhooks.usesGenericPayloads = true }) { simulator in
            try simulator.world.update(.companies, 101, ["name": "N"])
            try simulator.world.associate(.deals, 101, .contacts, 451)
            try simulator.world.gdprDelete(201)
        }
        let change = try #require(receiver.events.first { $0["subscriptionType"] as? String == "object.propertyChange" })
        #expect(change["objectTypeId"] as? String == "0-2")
        #expect(change["isSensitive"] as? Bool == false)
        let association = try #require(receiver.events.first { $0["subscriptionType"] as? String == "object.associationChange" })
        #expect(association["fromObjectTypeId"] as? String == "0-3" && association["toObjectTypeId"] as? String == "0-1")
        #expect(association["associationTypeId"] as? Int == 3)
        #expect(types(receiver).contains("contact.privacyDeletion"))
    }

    @Test func aBurstGoesInRequestsOfAHundredTenAtOnce() async throws {
        let (receiver, counters, _) = try await delivering { simulator in
            _ = try simulator.world.bulkEdit(.contacts, count: 1000, ["city": "Kiel", "zip": "24103"])
        }
        #expect(receiver.calls.count >= 10)
        #expect(receiver.calls.allSatisfy { $0.body.count > 100 })
        let sizes = receiver.calls.map { (try? JSONSerialization.jsonObject(with: Data($0.body)) as? [Any])??.count ?? 0 }
        #expect(sizes.max() == 100)
        #expect(counters.acceptedEvents == receiver.events.count)
        #expect(Set(receiver.events.compactMap { $0["objectId"] as? Int64 }).count > 900)
    }

    @Test func aFailureIsRepeatedWithTheNextAttemptNumberAndANewStamp() async throws {
        let (receiver, counters, url) = try await delivering(to: Receiver(statuses: [500, 410, 401])) { simulator in
            try simulator.world.update(.contacts, 101, ["firstname": "A"])
        }
        #expect(receiver.events.compactMap { $0["attemptNumber"] as? Int } == [0, 1, 2, 3])
        #expect(Set(receiver.events.compactMap { $0["eventId"] as? Int64 }).count == 1)
        #expect(counters.failed == 3 && counters.retried == 3 && counters.accepted == 1 && counters.dropped == 0)
        #expect(counters.failures == ["500": 1, "410": 1, "401": 1])
        let signer = try Signer(secret: SimulatorSettings().clientSecret)
        for call in receiver.calls {
            let timestamp = Int64(call.header("x-hubspot-request-timestamp") ?? "") ?? 0
            #expect(
                call.header("x-hubspot-signature-v3")
                    == signer.v3(method: "POST", uri: url, body: call.body, timestampMs: timestamp))
        }
    }

    @Test func afterTheLastAttemptAnEventIsDropped() async throws {
        let (receiver, counters, _) = try await delivering(to: Receiver(statuses: Array(repeating: 503, count: 50))) { simulator in
            try simulator.world.update(.contacts, 101, ["firstname": "A"])
        }
        #expect(receiver.calls.count == 11)
        #expect(counters.dropped == 1 && counters.pending == 0)
    }

    @Test func anAnswerAfterTheDeadlineIsAFailure() async throws {
        let (receiver, counters, _) = try await delivering(
            to: Receiver(delay: .milliseconds(300)),
            {
                $0.webhooks.deadline = .milliseconds(20)
                $0.webhooks.retriesMax = 1
            }
        ) { simulator in
            try simulator.world.update(.contacts, 101, ["firstname": "A"])
        }
        #expect(receiver.calls.count == 2)
        #expect(counters.failures == ["deadline": 2])
        #expect(counters.dropped == 1)
    }

    @Test func nothingListeningIsAFailureToo() async throws {
        let (_, counters, _) = try await delivering({ settings in
            settings.webhookURL = "http://127.0.0.1:1/x"
            settings.webhooks.retriesMax = 2
        }) { simulator in
            try simulator.world.update(.contacts, 101, ["firstname": "A"])
        }
        #expect(counters.failures == ["connection": 3])
    }

    @Test func duplicatesLossesAndForgedSignaturesHappenAsAsked() async throws {
        let (receiver, counters, _) = try await delivering({ settings in
            settings.webhooks.duplicateShare = 0.3
            settings.webhooks.droppedShare = 0.2
            settings.webhooks.shuffles = true
            settings.webhooks.delay = .milliseconds(5)
            settings.webhooks.badSignatureShare = 1
        }) { simulator in
            _ = try simulator.world.bulkEdit(.contacts, count: 300, ["city": "Kiel"])
        }
        #expect(counters.duplicated > 40 && counters.withheld > 30)
        #expect(receiver.events.count == counters.events - counters.withheld + counters.duplicated)
        let ids = receiver.events.compactMap { $0["objectId"] as? Int64 }
        #expect(ids != ids.sorted())
        let signer = try Signer(secret: SimulatorSettings().clientSecret)
        #expect(receiver.calls.allSatisfy { $0.header("x-hubspot-signature") != signer.v1(body: $0.body) })
    }

    @Test func onlySubscribedPropertiesAreTold() async throws {
        let (receiver, _, _) = try await delivering({ $0.webhooks.subscribedProperties = ["zip"] }) { simulator in
            try simulator.world.update(.contacts, 101, ["firstname": "A", "zip": "1"])
        }
        #expect(receiver.events.compactMap { $0["propertyName"] as? String } == ["zip"])
    }
}
