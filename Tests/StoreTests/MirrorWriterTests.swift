import Bytes
import Foundation
import Logging
import Model
import Mongo
import Store
import TestSupport
import Testing

/// `SEED=n` replays one run; otherwise the same ones every time.
let seeds: [UInt64] = ProcessInfo.processInfo.environment["SEED"].flatMap(UInt64.init).map { [$0] } ?? Array(1...60)

func instant(_ milliseconds: Int64) -> Timestamp { Timestamp(milliseconds: milliseconds) }

extension Store {
    /// The store of the running test's database, prepared.
    static func scratch() async throws -> Store {
        let store = Store(database: ScratchDatabase.current, logger: Logger(label: "test"))
        try await store.prepare()
        return store
    }
}

@Suite(.scratchDatabase, .timeLimit(.minutes(3))) struct MirrorWriterTests {
    /// The contract's document, field by field.
    @Test func aNewRecordHasTheContractsDocument() async throws {
        let store = try await Store.scratch()
        let record = Record.sample(
            .deals, id: "7", updatedAt: 2_000, mergedIds: ["5"], fields: ["dealName": "Ünï", "amount": 12.5, "closeDate": .date(9)],
            properties: ["dealname": "Ünï", "amount": "12.50", "custom": nil])
        let outcome = try await store.writer.write([record], of: .deals, at: instant(9_000))
        #expect(outcome.created == 1 && outcome.updated == 0 && outcome.failures.isEmpty)
        let stored = try #require(try await store.mirror.record(.deals, "7"))
        var members = Dictionary(uniqueKeysWithValues: stored.elements.map { ($0.name, $0.value) })
        #expect(members.removeValue(forKey: "contentHash")?.integer != nil)
        #expect(members == [
            "_id": "7", "hubspotId": "7", "dealName": "Ünï", "amount": 12.5, "dealStage": nil, "pipeline": nil, "closeDate": .date(9),
            "dealType": nil, "ownerId": nil, "properties": ["amount": "12.50", "custom": nil, "dealname": "Ünï"],
            "associations": ["companies": [], "contacts": [], "deals": []], "archived": false, "archivedAt": nil, "mergedIds": ["5"],
            "hubspotCreatedAt": .date(500), "hubspotUpdatedAt": .date(2_000), "lastSyncedAt": .date(9_000), "syncStatus": "synced",
            "syncError": nil,
        ])
    }

    @Test func newChangedUnchangedAndOutdatedAreToldApart() async throws {
        let store = try await Store.scratch()
        try await store.writer.write((1...4).map { .sample(id: "\($0)", updatedAt: 100) }, of: .contacts, at: instant(1))
        let outcome = try await store.writer.write(
            [
                .sample(id: "1", updatedAt: 100), .sample(id: "2", updatedAt: 101), .sample(id: "3", updatedAt: 99),
                .sample(id: "4", updatedAt: 100, properties: ["calculated": "1"]), .sample(id: "5"),
            ], of: .contacts, at: instant(2))
        #expect(outcome.created == 1)
        #expect(outcome.updated == 3)
        #expect(outcome.unchanged == 1)
        #expect(outcome.outdated == 1)
        #expect(try await value("lastSyncedAt", "1", store) == .date(2))
        #expect(try await value("lastSyncedAt", "3", store) == .date(1))
        #expect(try await value("properties", "4", store) == ["calculated": "1"])
    }

    @Test func ofTwoReadsOfOneVersionTheLaterWins() async throws {
        let store = try await Store.scratch()
        try await store.writer.write([.sample(id: "1", properties: ["a": "read at 50"])], of: .contacts, at: instant(50))
        let late = try await store.writer.write([.sample(id: "1", properties: ["a": "read at 40"])], of: .contacts, at: instant(40))
        #expect(late.outdated == 1)
        #expect(try await value("properties", "1", store) == ["a": "read at 50"])
        try await store.writer.write([.sample(id: "1", archived: true)], of: .contacts, at: instant(60))
        #expect(try await value("archived", "1", store) == true)
        #expect(try await value("archivedAt", "1", store) == .date(1_000))
    }

    @Test func whatTheRecordDoesNotNameStays() async throws {
        let store = try await Store.scratch()
        try await store.writer.write([.sample(id: "1", mergedIds: ["8"])], of: .contacts, at: instant(1))
        try await ScratchDatabase.current.run {
            _ = try $0.updateOne(["_id": "1"], update: ["$set": ["associations.deals": ["77"]], "$push": ["mergedIds": "9"]], in: "contacts")
        }
        try await store.writer.write([.sample(id: "1", updatedAt: 2_000, mergedIds: ["8", "10"])], of: .contacts, at: instant(2))
        #expect(try await value("associations", "1", store) == ["companies": [], "contacts": [], "deals": ["77"]])
        #expect(try await value("mergedIds", "1", store) == ["8", "9", "10"])
    }

    @Test func ofOneIdTwiceInABatchTheNewestIsWritten() async throws {
        let store = try await Store.scratch()
        let outcome = try await store.writer.write(
            [.sample(id: "1", updatedAt: 5), .sample(id: "1", updatedAt: 9), .sample(id: "1", updatedAt: 7)], of: .contacts, at: instant(1))
        #expect(outcome.created == 1 && outcome.updated == 0)
        #expect(try await value("hubspotUpdatedAt", "1", store) == .date(9))
    }

    /// One is too large, one meets a document that is not ours; the others are written, and an existing one notes its failure.
    @Test func oneRecordsFailureIsItsOwn() async throws {
        let store = try await Store.scratch()
        try await store.writer.write([.sample(id: "1")], of: .contacts, at: instant(1))
        try await ScratchDatabase.current.run { client in
            _ = try client.insert([BSONDocument([("_id", 4711), ("hubspotId", "3")]).bytes], into: "contacts")
        }
        let large = String(repeating: "x", count: 17_000_000)
        let outcome = try await store.writer.write(
            [
                .sample(id: "1", updatedAt: 2_000, properties: ["notes": large]), .sample(id: "2", properties: ["notes": large]),
                .sample(id: "3"), .sample(id: "4"),
            ], of: .contacts, at: instant(2))
        #expect(outcome.created == 1)
        #expect(outcome.outdated == 0)
        #expect(outcome.failures.map(\.id).sorted() == ["1", "2", "3"])
        #expect(try await value("syncStatus", "1", store) == "error")
        #expect(try await value("syncError", "1", store)?.string?.contains("16 MB") == true)
        #expect(try await store.mirror.record(.contacts, "2") == nil)
        #expect(try await value("syncStatus", "4", store) == "synced")
    }

    @Test func aFailureIsNotedAndHealedByTheNextWrite() async throws {
        let store = try await Store.scratch()
        try await store.writer.write([.sample(id: "1")], of: .contacts, at: instant(1))
        try await store.writer.recordFailure(.contacts, "1", message: "HubSpot answered 500")
        try await store.writer.recordFailure(.contacts, "2", message: "HubSpot answered 500")
        #expect(try await value("syncStatus", "1", store) == "error")
        #expect(try await value("syncError", "1", store) == "HubSpot answered 500")
        #expect(try await store.mirror.record(.contacts, "2") == nil)
        let outcome = try await store.writer.write([.sample(id: "1")], of: .contacts, at: instant(2))
        #expect(outcome.unchanged == 1)
        #expect(try await value("syncStatus", "1", store) == "synced")
        #expect(try await value("syncError", "1", store) == .null)
    }

    @Test func staleRecordsTurnPendingAndOthersDoNot() async throws {
        let store = try await Store.scratch()
        for type in RecordType.allCases {
            try await store.writer.write((1...2_300).map { .sample(type, id: "\($0)") }, of: type, at: instant(100))
            try await store.writer.write([.sample(type, id: "fresh")], of: type, at: instant(200))
            try await store.writer.write([.sample(type, id: "gone", archived: true)], of: type, at: instant(100))
            try await store.writer.recordFailure(type, "7", message: "failed")
        }
        #expect(try await store.writer.markStale(olderThan: instant(100)) == 0)
        #expect(try await store.writer.markStale(olderThan: instant(101)) == 3 * 2_299)
        #expect(try await store.writer.markStale(olderThan: instant(101)) == 0)
        for counts in try await store.mirror.counts().values {
            #expect(counts.pending == 2_299 && counts.synced == 1 && counts.error == 1 && counts.archived == 1)
        }
    }

    /// A batch of more than one round, all of it new, then all of it unchanged.
    @Test func manyRecordsAreOneCall() async throws {
        let store = try await Store.scratch()
        let records = (0..<2_500).map { Record.sample(.companies, id: "\($0)", fields: ["name": "Company"]) }
        #expect(try await store.writer.write(records, of: .companies, at: instant(1)).created == 2_500)
        let again = try await store.writer.write(records, of: .companies, at: instant(2))
        #expect(again.created == 0 && again.updated == 2_500 && again.unchanged == 2_500)
    }

    /// Writers race over the same ids with random versions in random batches. Whatever the order, each id ends in its newest state, and
    /// of each batch every record is accounted for.
    @Test func concurrentWritersEndWithTheNewest() async throws {
        let store = try await Store.scratch()
        for seed in seeds {
            var random = SeededRandom(state: seed)
            let type = RecordType.allCases.randomElement(using: &random) ?? .deals
            let ids = (0..<12).map { "\(seed)-\($0)" }
            var newest: [String: Int64] = [:]
            var batches: [[Record]] = []
            for _ in 0..<10 {
                batches.append(
                    (0..<Int.random(in: 1...12, using: &random)).map { _ in
                        let id = ids.randomElement(using: &random) ?? ids[0]
                        let version = Int64.random(in: 1...6, using: &random)
                        newest[id] = max(newest[id] ?? 0, version)
                        return .sample(type, id: id, updatedAt: version, properties: ["version": "\(version)"])
                    })
            }
            let outcomes = try await withThrowingTaskGroup(of: WriteOutcome.self) { group in
                for batch in batches {
                    let now = instant(Int64.random(in: 1...3, using: &random))
                    group.addTask {
                        let outcome = try await store.writer.write(batch, of: type, at: now)
                        #expect(outcome.created + outcome.updated + outcome.outdated == Set(batch.map(\.id)).count, "seed \(seed)")
                        return outcome
                    }
                }
                return try await group.reduce(into: WriteOutcome()) { $0 += $1 }
            }
            #expect(outcomes.created == newest.count, "seed \(seed)")
            #expect(outcomes.failures.isEmpty, "seed \(seed)")
            for (id, version) in newest {
                let stored = try #require(try await store.mirror.record(type, id))
                #expect(stored["hubspotUpdatedAt"] == .date(version), "seed \(seed), id \(id)")
                #expect(stored["properties"] == ["version": .string("\(version)")], "seed \(seed), id \(id)")
            }
        }
    }

    private func value(_ key: String, _ id: String, _ store: Store) async throws -> BSONValue? {
        try #require(try await store.mirror.record(.contacts, id))[key]
    }
}
