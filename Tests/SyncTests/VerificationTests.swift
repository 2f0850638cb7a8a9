import Bytes
import Foundation
import HubSpot
import Model
import Mongo
import Simulator
import Store
import Sync
import TestSupport
import Testing

/// Mirror and HubSpot are held against each other: what differs is found and named, and nothing is touched unless that is wanted.
@Suite(.scratchDatabase, .timeLimit(.minutes(2))) struct VerificationTests {
    private static let marker = "marker-of-a-value-7f3a"

    /// What somebody does to one side behind the other's back.
    enum Deed: String, CaseIterable, Sendable {
        case documentRemoved, documentInvented, erasedInHubSpot, deletedInHubSpot, archivedInMirror, changedInHubSpot, versionTooNew, propertyChanged,
            propertyRemoved, fieldChanged, associationAdded, associationInvented, mergedInHubSpot

        /// Kinds and names that a comparison must tell, of the record that it was done to.
        var expected: [Drift.Kind: [String]] {
            switch self {
            case .documentRemoved: [.missingInMirror: []]
            case .documentInvented, .erasedInHubSpot, .mergedInHubSpot: [.missingInHubSpot: []]
            case .deletedInHubSpot, .archivedInMirror: [.archived: []]
            case .changedInHubSpot: [.older: [], .properties: ["firstname", "lastmodifieddate"], .fields: ["firstName"]]
            case .versionTooNew: [.newer: []]
            case .propertyChanged, .propertyRemoved: [.properties: ["email"]]
            case .fieldChanged: [.fields: ["email", "hubspotCreatedAt"]]
            case .associationAdded, .associationInvented: [.associations: ["deals"]]
            }
        }

        /// - Returns: the contact that it was done to.
        func perform(_ bench: Workbench) async throws -> String {
            let world = bench.simulator.world
            let contact = world.seededId(.contacts, 20 + (Deed.allCases.firstIndex(of: self) ?? 0))
            func tamper(_ update: BSONDocument) async throws {
                let matched = try await ScratchDatabase.current.run { try $0.updateOne(["_id": .string("\(contact)")], update: update, in: "contacts") }
                #expect(matched)
            }
            switch self {
            case .documentRemoved:
                _ = try await ScratchDatabase.current.run { try $0.deleteMany(["_id": .string("\(contact)")], in: "contacts") }
            case .documentInvented:
                try await bench.store.writer.write(
                    [.sample(id: "999999999999", properties: ["email": VerificationTests.marker])], of: .contacts, at: .now)
                return "999999999999"
            case .erasedInHubSpot: try world.gdprDelete(contact)
            case .deletedInHubSpot: try world.archive(.contacts, contact)
            case .archivedInMirror: try await tamper(["$set": ["archived": true, "archivedAt": .date(Timestamp.now.milliseconds - 3_600_000)]])
            case .changedInHubSpot: try world.update(.contacts, contact, ["firstname": VerificationTests.marker])
            case .versionTooNew: try await tamper(["$set": ["hubspotUpdatedAt": .date(Timestamp.now.milliseconds + 3_600_000)]])
            case .propertyChanged: try await tamper(["$set": ["properties.email": .string(VerificationTests.marker)]])
            case .propertyRemoved: try await tamper(["$set": ["properties.email": nil]])
            case .fieldChanged: try await tamper(["$set": ["email": .string(VerificationTests.marker), "hubspotCreatedAt": .date(5)]])
            case .associationAdded:
                let known = Set(world.associatedIds(.contacts, contact, to: .deals))
                try world.associate(.contacts, contact, .deals, try #require(world.ids(.deals).first { !known.contains($0) }))
            case .associationInvented: try await tamper(["$set": ["associations.deals": ["1", "2"]]])
            case .mergedInHubSpot:
                // The other one, whose id no longer stands for a record.
                try world.merge(.contacts, primary: world.seededId(.contacts, 100), other: contact)
            }
            return "\(contact)"
        }
    }

    /// Every document of every collection but the one that holds the report.
    private func everything() async throws -> [String: [BSONDocument]] {
        try await ScratchDatabase.current.run { client in
            let answer = try client.command(["listCollections": 1, "nameOnly": true])
            let names = answer["cursor"]?.document?["firstBatch"]?.array?.compactMap { $0.document?["name"]?.string } ?? []
            var all: [String: [BSONDocument]] = [:]
            for name in names where name != "verifications" {
                var documents: [BSONDocument] = []
                try client.find(MongoQuery(sort: ["_id": 1]), in: name) { documents.append($0) }
                all[name] = documents
            }
            return all
        }
    }

    @Test func anEqualMirrorHasNoDifferences() async throws {
        try await Workbench.use(account: { $0.archivedFromStart = 3 }) { bench in
            _ = try await bench.sync(.all())
            let whole = try await bench.verification.verify(sample: nil)
            #expect(whole.differences == [] && whole.errorMessages == [])
            #expect(whole.sum.checked == 341 && whole.sum.different == 0 && whole.sum.inFlight == 0 && whole.sum.unreadable == 0)
            let part = try await bench.verification.verify([.contacts], sample: 20)
            #expect(part.byType.keys.sorted() == [.contacts] && part.differences == [])
            #expect((20...40).contains(part.sum.checked))
        }
    }

    @Test(arguments: Deed.allCases) func everyKindOfDifferenceIsFoundNamedAndRepaired(deed: Deed) async throws {
        try await Workbench.use { bench in
            _ = try await bench.sync(.all())
            let id = try await deed.perform(bench)
            let before = try await everything()
            let report = try await bench.verification.verify(sample: nil)
            #expect(try await everything() == before, "a comparison writes nothing")
            let own = report.differences.filter { $0.key == RecordKey(.contacts, id) }
            #expect(Dictionary(own.map { ($0.kind, $0.names) }) { $1 } == deed.expected, "\(own)")
            #expect(report.sum.different > 0 && report.sum.repaired == 0 && report.sum.inFlight == 0)
            for (kind, _) in deed.expected { #expect(report.byType[.contacts]?.kinds[kind] ?? 0 > 0) }

            let repair = try await bench.verification.verify(sample: nil, repair: true)
            // Who is associated with a record that leaves is right before it is compared.
            let isLeaving = deed == .erasedInHubSpot || deed == .deletedInHubSpot
            #expect(isLeaving ? repair.sum.different <= report.sum.different : repair.sum.different == report.sum.different)
            #expect(repair.sum.different > 0)
            #expect(repair.sum.repaired == repair.sum.different, "\(repair.errorMessages)")
            let after = try await bench.verification.verify(sample: nil)
            #expect(after.differences == [])
            let comparison = try await MirrorComparison(simulatorURL: bench.simulator.baseURL, database: ScratchDatabase.current)
            #expect(comparison.isEqual, "\(comparison.differences)")
        }
    }

    /// The report goes to logs, pages and a collection of its own: what a record holds is in none of it.
    @Test func noValueIsInTheReport() async throws {
        try await Workbench.use { bench in
            _ = try await bench.sync(.all())
            for deed in Deed.allCases { _ = try await deed.perform(bench) }
            let emails = bench.simulator.world.records(.contacts).compactMap { $0.properties["email"] ?? nil }
            let report = try await bench.verification.verify(sample: nil)
            #expect(report.sum.different >= Deed.allCases.count)
            let stored = try await ScratchDatabase.current.run { try $0.findOne(MongoQuery(), in: "verifications") }
            let text = "\(report)" + String(decoding: try #require(stored).bytes, as: UTF8.self)
            #expect(text.contains("lastmodifieddate") && !text.contains(Self.marker))
            #expect(emails.count > 100 && emails.allSatisfy { !text.contains($0) })
        }
    }

    /// `SEED=n` replays one history; otherwise the same ones every time.
    static let seeds: [UInt64] = ProcessInfo.processInfo.environment["SEED"].flatMap(UInt64.init).map { [$0] } ?? Array(1...4)

    @Test(arguments: seeds) func aRepairMakesEqualWhateverHappened(seed: UInt64) async throws {
        try await Workbench.use { settings in
            settings.seed = seed
            settings.contacts = 120
            settings.mergeKeepsPrimary = seed.isMultiple(of: 2)
        } _: { bench in
            _ = try await bench.sync(.all())
            bench.simulator.world.mutate(changes: 150, seed: seed)
            let repair = try await bench.verification.verify(sample: nil, repair: true)
            #expect(repair.sum.different > 50 && repair.sum.repaired == repair.sum.different, "seed \(seed): \(repair.errorMessages)")
            let comparison = try await MirrorComparison(simulatorURL: bench.simulator.baseURL, database: ScratchDatabase.current)
            #expect(comparison.isEqual, "seed \(seed): \(comparison.differences)")
            #expect(try await bench.verification.verify(sample: nil).sum.different == 0)
        }
    }

    // MARK: What is no drift

    @Test func whatChangedJustNowIsInFlight() async throws {
        try await Workbench.use { bench in
            _ = try await bench.sync(.all())
            let verification = Verification(
                store: bench.store, hubspot: bench.hubspot, catalog: bench.catalog, every: nil, settleTime: .zero, logger: bench.logger)
            let world = bench.simulator.world
            try world.update(.contacts, world.seededId(.contacts, 5), ["firstname": "Just now"])
            try world.create(.deals, ["dealname": "Just now"])
            // One that nobody is associated with: see below.
            let company = try world.create(.companies, ["name": "Alone"])
            _ = try await bench.sync(.one(.companies))
            try world.archive(.companies, company)
            let report = try await verification.verify(sample: nil, repair: true)
            #expect(report.sum.different == 0 && report.sum.repaired == 0, "\(report.differences)")
            #expect(report.byType.mapValues(\.inFlight) == [.contacts: 1, .deals: 1, .companies: 1])
        }
    }

    /// HubSpot dates no change of associations, so even a new one is drift when it is still there at the second look.
    @Test func associationsOfADeletedRecordAreDriftAtOnce() async throws {
        try await Workbench.use { bench in
            _ = try await bench.sync(.all())
            let verification = Verification(
                store: bench.store, hubspot: bench.hubspot, catalog: bench.catalog, every: nil, settleTime: .zero, logger: bench.logger)
            let world = bench.simulator.world
            let contact = world.seededId(.contacts, 5)
            let company = try world.create(.companies, ["name": "Together"])
            try world.associate(.contacts, contact, .companies, company)
            _ = try await bench.sync(.all())
            try world.archive(.companies, company)
            let report = try await verification.verify(sample: nil)
            #expect(report.byType[.companies]?.inFlight == 1)
            #expect(report.differences == [Drift(key: RecordKey(.contacts, "\(contact)"), kind: .associations, names: ["companies"])])
        }
    }

    /// HubSpot promises no event for the records at the other ends.
    @Test(arguments: [false, true]) func theOtherEndsOfWhatLeavesAndComesBackAreRightByItsEventAlone(mergeKeepsPrimary: Bool) async throws {
        try await PoolBench.use { settings in
            settings.mergeKeepsPrimary = mergeKeepsPrimary
        } _: { bench in
            let world = bench.simulator.world
            let verification = Verification(
                store: bench.store, hubspot: bench.hubspot, catalog: bench.catalog, every: nil, settleTime: .zero, inFlightFor: .zero,
                logger: PoolBench.logger)
            let company = try world.create(.companies, ["name": "Together"])
            let contacts = try (0..<5).map { try world.create(.contacts, ["email": "end\($0)@example.org"]) }
            let deal = try world.create(.deals, ["dealname": "Together"])
            for contact in contacts { try world.associate(.contacts, contact, .companies, company) }
            try world.associate(.contacts, contacts[0], .deals, deal)
            try world.associate(.contacts, contacts[0], .contacts, contacts[4])
            await bench.simulator.deliveriesSettled()
            _ = try await bench.runs.finished(bench.runs.start(.all(limit: nil)).id)
            func settle(_ what: Comment, _ contacts: Int) async throws {
                try await bench.settle()
                let document = try await bench.store.mirror.record(.companies, "\(company)")
                #expect(document?["associations"]?.document?["contacts"]?.array?.count == contacts, what)
                let report = try await verification.verify(sample: nil)
                #expect(report.differences == [], what)
            }
            try await settle("all there", 5)
            try world.archive(.contacts, contacts[0])
            try await settle("archived", 4)
            try world.restore(.contacts, contacts[0])
            try await settle("restored", 5)
            _ = try world.merge(.contacts, primary: contacts[1], other: contacts[0])
            try await settle("merged", 4)
            try world.gdprDelete(contacts[2])
            try await settle("erased", 3)
            try world.archive(.companies, company)
            try await bench.settle()
            #expect(try await verification.verify(sample: nil).differences == [])
        }
    }

    /// A webhook or a sync brings it while the comparison waits.
    @Test func whatArrivesBeforeTheSecondLookIsNothing() async throws {
        try await Workbench.use { bench in
            _ = try await bench.sync(.one(.contacts))
            let verification = Verification(
                store: bench.store, hubspot: bench.hubspot, catalog: bench.catalog, every: nil, settleTime: .seconds(2), inFlightFor: .zero,
                logger: bench.logger)
            try bench.simulator.world.bulkEdit(.contacts, count: 9, ["firstname": "Late"])
            bench.simulator.resetCalls()
            async let report = verification.verify([.contacts], sample: nil)
            // The last look of the first round is the list's second page and what follows it.
            try await eventually { bench.simulator.calls["GET objects/contacts"]?[200] == 3 }
            _ = try await bench.sync(.incremental)
            let sum = try await report.sum
            #expect(sum.checked == 250 && sum.different == 0 && sum.inFlight == 0)
        }
    }

    /// HubSpot may still list what was erased here for privacy; it must not come back.
    @Test func whatWasErasedOnPurposeIsNotMissing() async throws {
        try await Workbench.use { bench in
            _ = try await bench.sync(.one(.contacts))
            try await bench.store.writer.erase(RecordKey(.contacts, "\(bench.simulator.world.seededId(.contacts, 3))"), at: .now)
            let report = try await bench.verification.verify([.contacts], sample: nil, repair: true)
            #expect(report.sum.checked == 250 && report.sum.different == 0)
            #expect(try await bench.store.mirror.counts()[.contacts]?.total == 249)
        }
    }

    // MARK: Samples, troubles, schedule

    /// Ids of the mirror alone would never show what it lacks.
    @Test func aSampleFindsWhatTheMirrorLacks() async throws {
        try await Workbench.use { bench in
            _ = try await bench.sync(.one(.contacts))
            let kept = bench.simulator.world.ids(.contacts, limit: 10).map { "\($0)" }
            _ = try await ScratchDatabase.current.run { try $0.deleteMany(["_id": ["$nin": .strings(kept)]], in: "contacts") }
            let report = try await bench.verification.verify([.contacts], sample: 30)
            #expect(report.byType[.contacts]?.kinds[.missingInMirror] ?? 0 > 5)
            #expect(report.sum.checked <= 40)
        }
    }

    @Test func atMostAHundredDifferencesAreListedAndAllAreCounted() async throws {
        try await Workbench.use { bench in
            _ = try await bench.sync(.one(.contacts))
            _ = try await ScratchDatabase.current.run { try $0.deleteMany([:], in: "contacts") }
            let report = try await bench.verification.verify([.contacts], sample: nil)
            #expect(report.differences.count == 100 && report.sum.different == 250 && report.byType[.contacts]?.kinds == [.missingInMirror: 250])
        }
    }

    @Test func associationsThatCannotBeReadAreToldAndNotCompared() async throws {
        try await Workbench.use { bench in
            _ = try await bench.sync(.all())
            bench.simulator.missingScopes = ["crm.objects.deals.read"]
            let id = try await Deed.propertyChanged.perform(bench)
            let report = try await bench.verification.verify([.contacts], sample: nil, repair: true)
            #expect(report.differences == [Drift(key: RecordKey(.contacts, id), kind: .properties, names: ["email"])])
            #expect(report.sum.repaired == 1)
            #expect(report.errorMessages.count == 1 && report.errorMessages[0].contains("crm.objects.deals.read"))
        }
    }

    @Test func withoutHubSpotItFailsAndTheNextOneRuns() async throws {
        try await Workbench.use { bench in
            _ = try await bench.sync(.one(.companies))
            bench.simulator.faults.down = true
            await #expect(throws: HubSpotError.self) { try await bench.verification.verify([.companies]) }
            bench.simulator.faults.down = false
            #expect(try await bench.verification.verify([.companies]).sum.checked == 40)
        }
    }

    @Test func oneRunsAtATime() async throws {
        try await Workbench.use(account: { $0.latency = .milliseconds(100) }) { bench in
            async let first = bench.verification.verify([.companies])
            try await eventually { bench.simulator.callCount > 0 }
            await #expect(throws: Verification.BusyError.self) { try await bench.verification.verify([.deals]) }
            _ = try await first
        }
    }

    @Test func theScheduleComparesAndEveryInstanceKnows() async throws {
        try await Workbench.use { bench in
            _ = try await bench.sync(.all())
            let id = try await Deed.propertyChanged.perform(bench)
            func instance(_ every: Duration?) -> Verification {
                Verification(
                    store: bench.store, hubspot: bench.hubspot, catalog: bench.catalog, every: every, settleTime: .zero, inFlightFor: .zero,
                    logger: bench.logger)
            }
            let other = instance(nil)
            let running = Task { try await instance(.milliseconds(200)).run() }
            // A sample of a hundred of 250 contacts finds it before long.
            try await eventually {
                try await other.refreshLast()
                return await other.last?.differences.contains { $0.key.id == id } ?? false
            }
            running.cancel()
            _ = await running.result
            let last = try #require(await other.last)
            #expect(last.sample == 100 && last.repair == false && last.sum.different == 1)
            // As it was saved.
            try await bench.store.verifications.save(last)
            #expect(try await bench.store.verifications.load() == last)
        }
    }
}
