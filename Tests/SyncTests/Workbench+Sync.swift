import Bytes
import Model
import Simulator
import Store
import Sync
import TestSupport
import Testing

extension Workbench {
    /// Runs a sync to its end.
    func sync(_ scope: SyncScope) async throws -> Run {
        let id = try await runs.start(scope).id
        return try #require(try await runs.finished(id))
    }

    /// Compares every live record of the account with its document, and finds no other document.
    func expectMirrorEqualsAccount(_ types: [RecordType] = RecordType.allCases) async throws {
        for type in types {
            let truth = simulator.world.records(type).filter { !$0.archived }
            #expect(try await store.mirror.counts()[type]?.total == truth.count)
            for record in truth {
                let document = try #require(try await store.mirror.record(type, "\(record.id)"), "\(type) \(record.id)")
                var properties: [String: String?] = [:]
                for element in document["properties"]?.document?.elements ?? BSONDocument().elements {
                    properties.updateValue(element.string, forKey: element.name)
                }
                #expect(properties == record.properties, "\(type) \(record.id)")
                #expect(document["hubspotUpdatedAt"]?.milliseconds == record.updatedAt)
                #expect(document["hubspotCreatedAt"]?.milliseconds == record.createdAt)
                #expect(document["archived"] == false && document["syncStatus"] == "synced")
            }
        }
    }
}
