import Bytes
public import Model
import Mongo

/// The last comparison of mirror and HubSpot, for all instances to show.
public struct VerifyStore: Sendable {
    private static let collection = "verifications"
    private static let last = "last"

    let database: MongoDatabase

    public func save(_ report: VerifyReport) async throws {
        let document = report.document(id: VerifyStore.last)
        _ = try await database.run {
            try $0.replaceOne(["_id": .string(VerifyStore.last)], with: document, upsert: true, in: VerifyStore.collection)
        }
    }

    /// nil before the first.
    public func load() async throws -> VerifyReport? {
        try await database.run { try $0.findOne(MongoQuery(["_id": .string(VerifyStore.last)]), in: VerifyStore.collection) }
            .flatMap { VerifyReport(document: $0) }
    }
}

extension VerifyReport {
    fileprivate func document(id: String) -> BSONDocument {
        var writer = BSONWriter(capacity: 1024)
        writer.append("_id", id)
        writer.append("startedAt", date: startedAt.milliseconds)
        writer.append("finishedAt", date: finishedAt.milliseconds)
        if let sample { writer.append("sample", Int64(sample)) }
        writer.append("repair", repair)
        writer.document("byType") { types in
            for (type, counts) in byType.sorted(by: { $0.key < $1.key }) {
                types.document(type.rawValue) { writer in
                    for (name, path) in VerifyReport.numbers { writer.append(name, Int64(counts[keyPath: path])) }
                    writer.document("kinds") { kinds in
                        for (kind, count) in counts.kinds.sorted(by: { $0.key < $1.key }) { kinds.append(kind.rawValue, Int64(count)) }
                    }
                }
            }
        }
        writer.array("differences") { array in
            for (index, drift) in differences.enumerated() {
                array.document(at: index) { writer in
                    writer.append("record", drift.key.description)
                    writer.append("kind", drift.kind.rawValue)
                    writer.append("names", array: drift.names)
                }
            }
        }
        writer.append("errorMessages", array: errorMessages)
        return BSONDocument(bytes: writer.finish())
    }

    fileprivate init?(document: BSONDocument) {
        guard let startedAt = document["startedAt"]?.milliseconds, let finishedAt = document["finishedAt"]?.milliseconds else { return nil }
        self.init(
            startedAt: Timestamp(milliseconds: startedAt), sample: document["sample"]?.integer.map { Int($0) },
            repair: document["repair"]?.bool ?? false)
        self.finishedAt = Timestamp(milliseconds: finishedAt)
        for type in RecordType.allCases {
            guard let stored = document["byType"]?.document?[type.rawValue]?.document else { continue }
            var counts = Counts()
            for (name, path) in VerifyReport.numbers { counts[keyPath: path] = Int(stored[name]?.integer ?? 0) }
            for element in stored["kinds"]?.document?.elements ?? BSONDocument().elements {
                if let kind = Drift.Kind(rawValue: element.name) { counts.kinds[kind] = Int(element.integer ?? 0) }
            }
            byType[type] = counts
        }
        for value in document["differences"]?.array ?? [] {
            guard let stored = value.document, let key = stored["record"]?.string.flatMap({ RecordKey($0) }),
                let kind = stored["kind"]?.string.flatMap(Drift.Kind.init)
            else { continue }
            differences.append(Drift(key: key, kind: kind, names: stored["names"]?.array?.compactMap(\.string) ?? []))
        }
        errorMessages = document["errorMessages"]?.array?.compactMap(\.string) ?? []
    }

    private static var numbers: [(String, WritableKeyPath<Counts, Int>)] {
        [
            ("checked", \.checked), ("different", \.different), ("inFlight", \.inFlight), ("repaired", \.repaired), ("unreadable", \.unreadable),
        ]
    }
}
