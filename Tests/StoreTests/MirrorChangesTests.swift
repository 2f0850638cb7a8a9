import Bytes
import Model
import Mongo
import Store
import TestSupport
import Testing

@Suite(.scratchDatabase, .timeLimit(.minutes(2))) struct MirrorChangesTests {
    /// What `body` does, as the changes tell it.
    private func changes(_ store: Store, of body: () async throws -> Void) async throws -> [RecordChange] {
        let start = try await store.changes.position()
        try await body()
        return try await all(store, after: start)
    }

    private func all(_ store: Store, after start: String) async throws -> [RecordChange] {
        var found: [RecordChange] = []
        var position = start
        let end = try await store.changes.position()
        while position < end {
            let batch = try await store.changes.changes(after: position, wait: .milliseconds(50))
            guard batch.position > position else { break }
            #expect(batch.changes.allSatisfy { $0.position > position && $0.position <= batch.position })
            position = batch.position
            found += batch.changes
        }
        return found
    }

    /// Type, id, kind and names, without the position.
    private func text(_ change: RecordChange) -> String {
        let names = change.properties.map { $0.joined(separator: ",") } ?? "?"
        let others = change.associations.map(\.rawValue).joined(separator: ",")
        return "\(change.key) \(change.kind.rawValue) [\(names)] [\(others)]" + (change.mergedInto.map { " \($0)" } ?? "")
    }

    private func record(
        _ id: String, _ version: Int64, archived: Bool = false, _ properties: [String: String?], of type: RecordType = .contacts
    ) -> Record {
        .sample(type, id: id, updatedAt: version, archived: archived, properties: properties)
    }

    @Test func everyKindIsToldWithNamesAndWithoutValues() async throws {
        let store = try await Store.scratch()
        let writer = store.writer
        let told = try await changes(store) {
            try await writer.write([record("1", 10, ["a": "secret", "b": "x"]), record("2", 10, ["a": "x"])], of: .contacts, at: instant(1))
            try await writer.write([record("3", 10, archived: true, [:])], of: .contacts, at: instant(1))
            try await writer.write([record("1", 10, ["a": "x"], of: .deals)], of: .deals, at: instant(1))
            try await writer.write([record("1", 20, ["a": "secret too", "b": "x", "c.d": nil])], of: .contacts, at: instant(2))
            try await writer.setAssociations(["1": ["7"]], of: .contacts, to: .deals, readAt: instant(3))
            try await writer.write([record("2", 20, archived: true, ["a": "x"])], of: .contacts, at: instant(4))
            try await writer.write([record("2", 200_000, ["a": "y"])], of: .contacts, at: instant(500))
            try await writer.absorb(["2"], into: RecordKey(.contacts, "1"), at: instant(6))
            try await writer.erase(RecordKey(.contacts, "1"), at: instant(7))
            try await writer.removeGone(["3"], of: .contacts, at: instant(8))
            try await writer.setAssociations(["1": ["4", "5"]], of: .deals, to: .contacts, readAt: instant(8))
            try await writer.write([record("4", 10, [:]), record("5", 10, [:])], of: .contacts, at: instant(8))
            try await writer.setAssociations(["4": ["1"]], of: .contacts, to: .deals, readAt: instant(8))
            try await writer.write([record("4", 20, archived: true, [:])], of: .contacts, at: instant(9))
            try await writer.dissociateArchived(["4", "5"], of: .contacts)
            try await writer.archiveGone(["1"], of: .deals, at: instant(9))
        }
        // Batched or not, names are known where the record was read before the batch or changed in it.
        let shown = told.map { text($0).replacing("[?]", with: "[a]") }
        #expect(
            shown == [
                "contacts:1 created [] []", "contacts:2 created [] []", "contacts:3 archived [] []", "deals:1 created [] []",
                "contacts:1 updated [a] []", "contacts:1 updated [] [deals]", "contacts:2 archived [] []", "contacts:2 restored [a] []",
                "contacts:2 merged [] [] 1", "contacts:1 erased [] []", "contacts:3 erased [] []", "deals:1 updated [] [contacts]", "contacts:4 created [] []",
                "contacts:5 created [] []", "contacts:4 updated [] [deals]", "contacts:4 archived [] []", "deals:1 updated [] [contacts]",
                "deals:1 archived [] []",
            ])
    }

    @Test func namesAreThoseOfTheValuesThatChanged() async throws {
        let store = try await Store.scratch()
        func write(_ version: Int64, _ properties: [String: String?]) async throws {
            try await store.writer.write([record("1", version, properties)], of: .contacts, at: instant(version))
        }
        try await write(1, ["same": "x", "changed": "x", "emptied": "x", "gone": "x", "": "x"])
        let start = try await store.changes.position()
        try await write(2, ["same": "x", "changed": "y", "emptied": nil, "new": "$z", "": "x"])
        // Several in one batch, each against the one before.
        try await write(3, ["same": "x", "changed": "y", "emptied": "", "new": "$z", "": "x"])
        try await write(4, ["same": "y", "changed": "x", "emptied": "", "new": "$z", "": "x"])
        let told = try await all(store, after: start)
        #expect(told.map(\.properties) == [["changed", "emptied", "gone", "new"], ["emptied"], ["changed", "same"]])
        // Read from any place between, they are the same.
        #expect(try await all(store, after: told[0].position) == Array(told[1...]))
        #expect(try await all(store, after: told[2].position) == [])
    }

    /// A full sync touches every record; nobody who watches wants to hear of that.
    @Test func whatDoesNotChangeARecordIsNotTold() async throws {
        let store = try await Store.scratch()
        let records = (1...50).map { record("\($0)", 10, ["a": "x"]) }
        try await store.writer.write(records, of: .contacts, at: instant(1))
        try await store.writer.setAssociations(["1": ["7"]], of: .contacts, to: .deals, readAt: instant(1))
        let told = try await changes(store) {
            try await store.writer.write(records, of: .contacts, at: instant(2))
            try await store.writer.setAssociations(["1": ["7"]], of: .contacts, to: .deals, readAt: instant(3))
            try await store.writer.markStale(olderThan: instant(100))
            try await store.writer.recordFailure(.contacts, "1", message: "no")
            try await store.writer.erase(RecordKey(.contacts, "999"), at: instant(4))
            try await ScratchDatabase.current.run { client in
                _ = try client.updateOne(["_id": "x"], update: ["$set": ["archived": true]], upsert: true, in: "other")
            }
        }
        #expect(told == [])
    }

    @Test func moreThanABatchComesInParts() async throws {
        let store = try await Store.scratch()
        let count = 1234
        let told = try await changes(store) {
            try await store.writer.write((1...count).map { record("\($0)", 10, ["a": "x"]) }, of: .contacts, at: instant(1))
        }
        #expect(told.count == count && Set(told.map(\.key.id)).count == count && told.map(\.position) == told.map(\.position).sorted())
    }

    /// Bulk work is not slowed down for names; changes one by one are named again after it.
    @Test func manyUpdatesAtOnceAreToldWithoutNames() async throws {
        let store = try await Store.scratch()
        func write(_ count: Int, _ version: Int64) async throws {
            try await store.writer.write(
                (1...count).map { record("\($0)", version, ["a": "\(version)"]) }, of: .contacts, at: instant(version))
        }
        try await write(400, 1)
        let told = try await changes(store) { try await write(400, 2) }
        #expect(told.count == 400 && told.allSatisfy { $0.kind == .updated && $0.properties == nil })
        #expect(try await changes(store) { try await write(100, 3) }.map(\.properties) == Array(repeating: ["a"], count: 100))
    }

    @Test func aPositionThatMongoDBCannotTellFromIsLost() async throws {
        let store = try await Store.scratch()
        let now = try await store.changes.position()
        for position in ["0000000000000000", "FFFFFFFFFFFFFFFFFFFF", String(now.dropLast(8))] {
            let error = await #expect(throws: StoreError.self, "\(position)") {
                _ = try await store.changes.changes(after: position, wait: .zero)
            }
            #expect(error?.kind == .lostPosition)
        }
    }

    @Test func aDroppedCollectionBreaksWhatIsKnown() async throws {
        let store = try await Store.scratch()
        try await store.writer.write([record("1", 10, [:])], of: .contacts, at: instant(1))
        let start = try await store.changes.position()
        try await ScratchDatabase.current.run { _ = try $0.command(["drop": "contacts"]) }
        var position = start, isBroken = false
        while !isBroken {
            let batch = try await store.changes.changes(after: position, wait: .seconds(1))
            position = batch.position
            isBroken = batch.isBroken
        }
    }
}
