import Bytes
import Foundation
import Model
import Mongo
import Simulator
import Store

/// Holds a small mirror against the simulated account, record by record.
struct PoolTruth {
    private(set) var differences: [String] = []
    private(set) var records = 0
    private(set) var associations = 0
    private(set) var staleEnds = 0

    /// - Parameter secrets: values of a record that must not be found anywhere once the record is erased, by contact id.
    init(_ bench: PoolBench, secrets: [Int64: String] = [:]) async throws {
        var live: [RecordType: Set<String>] = [:]
        var documents: [RecordType: [String: BSONDocument]] = [:]
        for type in RecordType.allCases {
            let found = try await PoolTruth.documents(type.rawValue, bench)
            documents[type] = Dictionary(found.map { ($0["_id"]?.string ?? "", $0) }, uniquingKeysWith: { $1 })
            live[type] = Set(bench.simulator.world.ids(type).map(String.init))
        }
        for type in RecordType.allCases { compare(type, bench.simulator.world, documents[type] ?? [:]) }
        compareAssociations(bench, documents, live)
        try await findSecrets(bench, secrets)
    }

    private mutating func compare(_ type: RecordType, _ world: World, _ documents: [String: BSONDocument]) {
        var left = Set(documents.keys)
        for truth in world.records(type) {
            let id = String(truth.id)
            left.remove(id)
            guard let document = documents[id] else {
                differences.append("\(type) \(id) is not in the mirror (archived: \(truth.archived))")
                continue
            }
            records += 1
            func expect(_ name: String, _ mirror: some Equatable, _ truth: some Equatable) {
                if "\(mirror)" != "\(truth)" { differences.append("\(type) \(id) \(name): mirror \(mirror), truth \(truth)") }
            }
            expect("archived", document["archived"]?.bool ?? false, truth.archived)
            // An edit that sets what was there moves the date and tells nobody.
            expect("hubspotUpdatedAt is newer", (document["hubspotUpdatedAt"]?.milliseconds ?? 0) > truth.updatedAt, false)
            expect("archivedAt", document["archivedAt"]?.milliseconds ?? 0, truth.archivedAt ?? 0)
            expect("syncStatus", document["syncStatus"]?.string ?? "", "synced")
            expect("mergedIds", (document["mergedIds"]?.array ?? []).compactMap(\.string).sorted(), truth.mergedIds.map(String.init).sorted())
            let properties = document["properties"]?.document
            for (name, value) in truth.properties.sorted(by: { $0.key < $1.key }) where !name.hasSuffix("lastmodifieddate") {
                expect(name, properties?[name]?.string ?? "", value ?? "")
            }
        }
        let gone = world.gone(type)
        for id in left.sorted() {
            differences.append("\(type) \(id) is in the mirror, in HubSpot it is \(Int64(id).flatMap { gone[$0] }.map { "merged or erased (\($0 ?? 0))" } ?? "unknown")")
        }
    }

    /// Ends that left and are still there are counted by themselves: HubSpot tells nobody, and whoever was created, associated and deleted
    /// before the mirror saw it left no trace of whom to look at. A reconciliation finds them.
    private mutating func compareAssociations(
        _ bench: PoolBench, _ documents: [RecordType: [String: BSONDocument]], _ live: [RecordType: Set<String>]
    ) {
        for (type, ids) in live {
            for id in ids {
                for other in RecordType.allCases {
                    let truth = bench.simulator.world.associatedIds(type, Int64(id) ?? 0, to: other).map(String.init).sorted()
                    let stored = documents[type]?[id]?["associations"]?.document?[other.rawValue]?.array ?? []
                    let all = stored.compactMap(\.string).sorted()
                    let mirror = all.filter { live[other]?.contains($0) == true }
                    associations += 1
                    staleEnds += all.count - mirror.count
                    if mirror != truth { differences.append("\(type) \(id) associations to \(other): mirror \(mirror), truth \(truth)") }
                }
            }
        }
    }

    /// What was erased for privacy is gone from every collection, and so is what was merged into it.
    private mutating func findSecrets(_ bench: PoolBench, _ secrets: [Int64: String]) async throws {
        let world = bench.simulator.world
        let kept = Set(world.records(.contacts).map(\.id))
        let gone = world.gone(.contacts)
        func isErased(_ id: Int64) -> Bool {
            var id = id
            while true {
                if kept.contains(id) { return false }
                guard let survivor = gone[id], let next = survivor, next != id else { return gone[id] != nil }
                id = next
            }
        }
        let erased = secrets.filter { isErased($0.key) }
        guard !erased.isEmpty else { return }
        let names = try await bench.database.run { client in
            try client.command(["listCollections": 1, "nameOnly": true])["cursor"]?.document?["firstBatch"]?.array?.compactMap { $0.document?["name"]?.string } ?? []
        }
        for name in names {
            let text = try await PoolTruth.documents(name, bench).map { String(decoding: $0.bytes, as: UTF8.self) }.joined()
            for (id, secret) in erased where text.contains(secret) {
                differences.append("collection \(name) still holds a value of the erased contact \(id)")
            }
        }
    }

    private static func documents(_ collection: String, _ bench: PoolBench) async throws -> [BSONDocument] {
        try await bench.database.run { client in
            var found: [BSONDocument] = []
            try client.find(in: collection) { found.append($0) }
            return found
        }
    }
}
