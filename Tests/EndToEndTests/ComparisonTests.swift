import Bytes
import Foundation
import Model
import Mongo
import Simulator
import TestSupport
import Testing

extension EndToEnd {
    /// The judge of the other tests sees every kind of difference, each of which is made here in a mirror that was right.
    @Suite(.scratchDatabase) struct ComparisonTests {
        @Test func everyKindOfDifferenceIsSeenAndNamed() async throws {
            let database = ScratchDatabase.current
            try await withSimulator { simulator in
                let environment = Service.environment(
                    mongodb: try await MongoServer.shared.uri(database.name), hubspot: simulator.baseURL)
                try await Service.run(environment) { service in
                    let result = try await service.sync("all")
                    #expect(result.isSuccess == true)
                }
                func differences() async throws -> [String] {
                    try await MirrorComparison(simulatorURL: simulator.baseURL, database: database).differences
                }
                var found = try await differences()
                #expect(found == [])

                let id = String(simulator.world.seededId(.contacts, 3)), deal = String(simulator.world.seededId(.deals, 3))
                let changes: [(named: String, type: RecordType, id: String, update: BSONDocument)] = [
                    ("properties.email", .contacts, id, ["$set": ["properties.email": "someone@else.com"]]),
                    ("properties.email", .contacts, id, ["$set": ["properties.email": nil]]),
                    ("properties.unheard_of", .contacts, id, ["$set": ["properties.unheard_of": nil]]),
                    ("of them in the mirror", .contacts, id, ["$unset": ["properties.email": ""]]),
                    ("firstName", .contacts, id, ["$set": ["firstName": "Nobody"]]),
                    ("amount", .deals, deal, ["$set": ["amount": "17"]]),
                    ("closeDate", .deals, deal, ["$set": ["closeDate": .date(17)]]),
                    ("lastName is missing", .contacts, id, ["$unset": ["lastName": ""]]),
                    ("hubspotCreatedAt", .contacts, id, ["$set": ["hubspotCreatedAt": .date(17)]]),
                    ("hubspotUpdatedAt", .contacts, id, ["$set": ["hubspotUpdatedAt": .date(17)]]),
                    ("archived", .contacts, id, ["$set": ["archived": true]]),
                    ("mergedIds", .contacts, id, ["$set": ["mergedIds": ["17"]]]),
                    ("syncStatus", .contacts, id, ["$set": ["syncStatus": "pending"]]),
                ]
                for change in changes {
                    let query = MongoQuery(["_id": .string(change.id)])
                    let before = try #require(try await database.run { try $0.findOne(query, in: change.type.rawValue) })
                    _ = try await database.run { try $0.updateMany(query.filter, update: change.update, in: change.type.rawValue) }
                    found = try await differences()
                    #expect(!found.isEmpty && found.allSatisfy { $0.contains("\(change.type) \(change.id): ") }, "\(change.named): \(found)")
                    #expect(found.contains { $0.contains(change.named) }, "\(change.named): \(found)")
                    try await database.run { try $0.replaceOne(query.filter, with: before, upsert: false, in: change.type.rawValue) }
                }
                found = try await differences()
                #expect(found == [])

                _ = try await database.run { client in
                    try client.insert([BSONDocument([("_id", "17"), ("hubspotId", "17")]).bytes], into: "deals")
                }
                found = try await differences()
                #expect(found == ["deals 17: in the mirror but not in HubSpot"])
                let added = try simulator.world.create(.companies, ["name": "New"])
                found = try await differences()
                #expect(found == ["companies \(added): not in the mirror", "deals 17: in the mirror but not in HubSpot"])
            }
        }
    }
}
