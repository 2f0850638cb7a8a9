import Bytes
import HubSpot
import Model
import Mongo
import Rules
import Simulator
import Store
import Sync
import TestSupport
import Testing

/// Properties, pipelines and owners in MongoDB.
@Suite(.scratchDatabase, .timeLimit(.minutes(1))) struct DefinitionsTests {
    private func document(_ collection: String, _ id: String) async throws -> BSONDocument? {
        try await ScratchDatabase.current.run { try $0.findOne(MongoQuery(["_id": .string(id)]), in: collection) }
    }

    @Test func everyListIsMirroredUnderStableIds() async throws {
        try await Workbench.use { bench in
            #expect(await bench.definitions.refresh())
            for type in RecordType.allCases {
                let names = try await bench.definitions.mirrored(.properties(type), archived: false).compactMap { $0["name"]?.string }
                #expect(names == bench.simulator.world.propertyNames(type).sorted() && names.count > 30)
            }
            let email = try #require(try await document("properties", "contacts:email"))
            #expect(email["objectType"] == "contacts" && email["name"] == "email" && email["type"] == "string" && email["archived"] == false)
            #expect(email["hubspotCreatedAt"]?.milliseconds != nil && email["lastSyncedAt"]?.milliseconds != nil && email["archivedAt"] == .null)
            #expect(email["modificationMetadata"]?.document?["readOnlyDefinition"] == true)
            let choice = try #require(try await document("properties", "deals:custom_0002_interests"))
            #expect(choice["options"]?.array?.compactMap { $0.document?["value"]?.string }.contains("Zweite Möglichkeit") == true)

            let pipelines = try await bench.definitions.mirrored(.pipelines(.deals), archived: false)
            #expect(pipelines.map { $0["_id"]?.string } == ["deals:default", "deals:75461220"])
            let won = try #require(pipelines[0]["stages"]?.array?.compactMap(\.document).first { $0["id"] == "closedwon" })
            #expect(won["isClosed"] == true && won["probability"] == 1.0 && won["label"] == "Closed Won")
            // What a deal holds leads to its pipeline.
            _ = try await bench.sync(.one(.deals))
            let deal = try #require(try await bench.store.mirror.page(MirrorQuery(.deals, limit: 1)).documents.first)
            #expect(pipelines.contains { $0["hubspotId"] == deal["pipeline"] })

            let ownerId = try #require(deal["ownerId"]?.string)
            let owner = try #require(try await document("owners", ownerId))
            #expect(owner["email"]?.string?.hasSuffix("@example.com") == true && owner["hubspotId"] == deal["ownerId"])
            #expect(try await bench.definitions.mirrored(.owners, archived: true).compactMap { $0["firstName"]?.string } == ["Left"])
        }
    }

    @Test func whatVanishesIsArchivedAndWhatComesBackIsNot() async throws {
        try await Workbench.use { bench in
            let world = bench.simulator.world
            let owner = "\(world.addOwner(firstName: "New", lastName: "Here"))"
            world.addPipeline(id: "extra", label: "Extra")
            world.defineProperty(.companies, name: "shoe_size", label: "Shoe size")
            await bench.definitions.refresh()
            #expect(try await document("properties", "companies:shoe_size")?["label"] == "Shoe size")
            #expect(try await document("pipelines", "deals:extra")?["archived"] == false)
            #expect(try await document("owners", owner)?["archived"] == false)

            world.deactivateOwner(try #require(Int64(owner)))
            world.removePipeline("extra")
            world.removeProperty(.companies, name: "shoe_size")
            await bench.definitions.refresh()
            for (collection, id) in [("properties", "companies:shoe_size"), ("pipelines", "deals:extra")] {
                let document = try await document(collection, id)
                #expect(document?["archived"] == true && document?["archivedAt"]?.milliseconds != nil, "\(id)")
            }
            #expect(try await document("owners", owner)?["archived"] == true)
            #expect(try await bench.definitions.mirrored(.properties(.contacts), archived: true).isEmpty)

            world.defineProperty(.companies, name: "shoe_size", label: "Shoe size again")
            await bench.definitions.refresh()
            let back = try await document("properties", "companies:shoe_size")
            #expect(back?["archived"] == false && back?["archivedAt"] == .null && back?["label"] == "Shoe size again")
        }
    }

    @Test func moreOwnersThanAPageAreAllThere() async throws {
        try await Workbench.use { bench in
            for index in 0..<230 { bench.simulator.world.addOwner(firstName: "Owner", lastName: "\(index)") }
            await bench.definitions.refresh()
            let owners = try await bench.definitions.mirrored(.owners, archived: false)
            #expect(owners.count == 235)
            #expect(try await bench.definitions.states()[.owners]?.total == 235)
            #expect(try await bench.definitions.live(.owners, archived: false).count == 235)
        }
    }

    /// Records need neither scope, so nothing else may suffer.
    @Test func aMissingScopeIsToldAndBreaksNothing() async throws {
        try await Workbench.use(account: { $0.missingScopes = ["crm.objects.owners.read"] }) { bench in
            #expect(await bench.definitions.refresh(), "nothing to be tried again soon")
            let states = try await bench.definitions.states()
            #expect(states[.owners]?.error?.contains("crm.objects.owners.read") == true && states[.owners]?.total == 0)
            #expect(states[.owners]?.lastSyncedAt == nil)
            for set in DefinitionSet.all where set != .owners {
                #expect(states[set]?.error == nil && states[set]?.lastSyncedAt != nil && states[set]?.total ?? 0 > 0, "\(set)")
            }
            #expect(try await bench.sync(.all()).state == .succeeded)
            bench.simulator.missingScopes = []
            await bench.definitions.refresh()
            #expect(try await bench.definitions.states()[.owners]?.error == nil)
        }
    }

    @Test func theServiceReadsThemAtTheStartOnceForAllInstances() async throws {
        try await Workbench.use { bench in
            let others = (0..<3).map { _ in Definitions(hubspot: bench.hubspot, catalog: bench.catalog, store: bench.store, logger: bench.logger) }
            let running = others.map { other in Task { try await other.run() } }
            try await eventually { try await bench.definitions.states()[.owners]?.lastSyncedAt != nil }
            #expect(bench.simulator.calls["GET pipelines"] == [200: 1])
            #expect(bench.simulator.calls["GET owners"] == [200: 2])
            for task in running { task.cancel() }
            for task in running { _ = await task.result }
        }
    }

    @Test func aSyncMirrorsThePropertiesThatItReads() async throws {
        try await Workbench.use { bench in
            _ = try await bench.sync(.one(.contacts))
            #expect(try await bench.definitions.mirrored(.properties(.contacts), archived: false).count > 30)
            #expect(try await bench.definitions.mirrored(.properties(.deals), archived: false).isEmpty)
            #expect(bench.simulator.calls["GET properties/contacts"] == [200: 1])
        }
    }

    // MARK: New properties in records

    @Test func aFullSyncBringsANewPropertyToRecordsThatDidNotChange() async throws {
        try await Workbench.use { bench in
            _ = try await bench.sync(.one(.deals))
            let id = "\(bench.simulator.world.seededId(.deals, 3))"
            let before = try #require(try await bench.store.mirror.record(.deals, id))
            #expect(before["properties"]?.document?["favourite_tea"] == nil)
            bench.simulator.world.defineProperty(.deals, name: "favourite_tea")
            // An incremental sync leaves them alone: the property is empty there, which missing means too.
            _ = try await bench.sync(.incremental)
            #expect(try await bench.store.mirror.record(.deals, id)?["properties"]?.document?["favourite_tea"] == nil)
            _ = try await bench.sync(.one(.deals))
            let after = try #require(try await bench.store.mirror.record(.deals, id))
            #expect(after["properties"]?.document?["favourite_tea"] == .null)
            #expect(after["hubspotUpdatedAt"] == before["hubspotUpdatedAt"])
            try await bench.expectMirrorEqualsAccount([.deals])
        }
    }

    /// A record that got a value of the new property, and was read by somebody who still had the names of before, looks up to date.
    @Test func aRecordThatWasReadWithoutANewPropertyIsFoundByTheIncrementalSync() async throws {
        try await Workbench.use { bench in
            _ = try await bench.sync(.one(.deals))
            let world = bench.simulator.world
            let old = try await bench.catalog.names(of: .deals, as: .webhook)
            world.defineProperty(.deals, name: "favourite_tea")
            let (read, other) = ("\(world.seededId(.deals, 3))", "\(world.seededId(.deals, 4))")
            try world.update(.deals, world.seededId(.deals, 3), ["favourite_tea": "Lapsang"])
            let records = try await bench.hubspot.read(.deals, ids: [read], properties: old, archived: false, as: .webhook).records
            try await bench.store.writer.write(records, of: .deals, at: .now)
            #expect(try await bench.store.mirror.record(.deals, read)?["syncStatus"] == "synced")

            _ = try await bench.sync(.incremental)
            #expect(try await bench.store.mirror.record(.deals, read)?["syncStatus"] == "pending")
            #expect(try await bench.store.mirror.record(.deals, other)?["syncStatus"] == "synced")
        }
    }
}
