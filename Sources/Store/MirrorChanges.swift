internal import Bytes
public import Model
internal import Mongo

/// What happens to records of the mirror, whoever writes it, as MongoDB's change streams tell.
///
/// Nobody writes anything for it: while nobody asks it costs nothing. An update replaces all `properties`, so which of them changed is
/// found by reading the records as they were right before (a snapshot read, which MongoDB can do for five minutes back), one read for all
/// updates of a batch. Pre-images would cost a second write each, and keep what was erased.
public struct MirrorChanges: Sendable {
    /// Changes a batch.
    static let limit = 500
    /// Updates of a batch whose names are looked for, as many as the pool writes at once. When bulk work changes more, the server has
    /// better to do than to read each record again, and a page reloads anyway.
    static let namedMax = 100

    let database: MongoDatabase

    public struct Batch: Sendable {
        public let changes: [RecordChange]
        /// The moment after the last of them. Positions sort as the moments do.
        public let position: String
        /// A collection was dropped or renamed: what is known of the mirror is no longer true.
        public let isBroken: Bool

        public init(changes: [RecordChange], position: String, isBroken: Bool = false) {
            self.changes = changes
            self.position = position
            self.isBroken = isBroken
        }
    }

    /// The moment now.
    public func position() async throws -> String {
        try await database.run { try $0.changes(after: nil, MirrorChanges.stages, limit: 1, wait: .zero).token }
    }

    /// What happened after a position; if nothing did, what happens first within `wait`.
    ///
    /// - Throws: `StoreError.lostPosition` when MongoDB can no longer tell, or never could; `MongoError`.
    public func changes(after position: String, wait: Duration) async throws -> Batch {
        try await database.run { client in
            let found: ChangeBatch
            do {
                found = try client.changes(after: position, MirrorChanges.stages, limit: MirrorChanges.limit, wait: wait)
            } catch let error as MongoError where error.kind == .rejected {
                throw StoreError(kind: .lostPosition, message: "MongoDB cannot tell what happened since: \(error)")
            }
            let events = found.events.compactMap(Event.init)
            var known = MirrorChanges.known(before: events, by: client)
            let survivors = try MirrorChanges.survivors(of: events, by: client)
            return Batch(
                changes: events.compactMap { MirrorChanges.change($0, &known, survivors) }, position: found.token,
                isBroken: events.contains { $0.operation == .broken })
        }
    }

    // MARK: Events

    /// A touch of what did not change, and what only we note on records, are no changes: the content's fingerprint tells.
    private static let stages: [BSONDocument] = {
        let associated = RecordType.allCases.map { type -> BSONValue in
            // A name with a dot, which a path would take apart.
            [
                "$ne": [
                    ["$type": ["$getField": ["field": .string("associations.\(type.rawValue)"), "input": "$updateDescription.updatedFields"]]],
                    "missing",
                ]
            ]
        }
        let isChange: BSONValue = [
            "$or": [
                ["updateDescription.updatedFields.contentHash": ["$type": "long"]],
                ["updateDescription.updatedFields.archived": ["$exists": true]], ["$expr": ["$or": .array(associated)]],
            ]
        ]
        return [
            [
                "$match": [
                    "ns.coll": .anyOf(RecordType.allCases.map(\.rawValue)),
                    "$or": [["operationType": ["$ne": "update"]], ["$and": [["operationType": "update"], isChange]]],
                ]
            ],
            [
                "$project": [
                    "operationType": 1, "ns.coll": 1, "documentKey._id": 1, "clusterTime": 1, "fullDocument.archived": 1,
                    "updateDescription.updatedFields": 1,
                ]
            ],
        ]
    }()

    private struct Event {
        enum Operation { case inserted, updated, replaced, deleted, broken }

        let operation: Operation
        let key: RecordKey
        let position: String
        let clusterTime: UInt64
        /// What an update set.
        let fields: BSONDocument
        /// Of an inserted document.
        let isArchived: Bool

        init?(_ event: BSONDocument) {
            guard let position = event["_id"]?.document?["_data"]?.string,
                let type = event["ns"]?.document?["coll"]?.string.flatMap(RecordType.init(rawValue:))
            else { return nil }
            operation =
                switch event["operationType"]?.string {
                case "insert": .inserted
                case "update": .updated
                case "replace": .replaced
                case "delete": .deleted
                default: .broken
                }
            // One that is not ours may have any id.
            key = RecordKey(type, event["documentKey"]?.document?["_id"]?.string ?? "")
            self.position = position
            if case .timestamp(let time)? = event["clusterTime"] { clusterTime = time } else { clusterTime = 0 }
            fields = event["updateDescription"]?.document?["updatedFields"]?.document ?? [:]
            isArchived = event["fullDocument"]?.document?["archived"]?.bool ?? false
        }

        /// All properties that an update set.
        var properties: BSONDocument? { fields["properties"]?.document }
    }

    private static func change(
        _ event: Event, _ known: inout [RecordKey: BSONDocument], _ survivors: [RecordKey: String]
    ) -> RecordChange? {
        guard !event.key.id.isEmpty else { return nil }
        switch event.operation {
        case .broken: return nil
        case .inserted: return RecordChange(event.key, event.isArchived ? .archived : .created, position: event.position)
        case .replaced:
            known[event.key] = nil
            return RecordChange(event.key, .updated, properties: nil, position: event.position)
        case .deleted:
            known[event.key] = nil
            let survivor = survivors[event.key]
            return RecordChange(event.key, survivor == nil ? .erased : .merged, mergedInto: survivor, position: event.position)
        case .updated:
            var names: [String]? = []
            if let properties = event.properties {
                names = known[event.key].map { MirrorChanges.names(of: properties, unlike: $0) }
                known[event.key] = properties
            }
            let set = event.fields.elements.map(\.name)
            let single = set.filter { $0.hasPrefix("properties.") }.map { String($0.dropFirst("properties.".count)) }
            if !single.isEmpty { known[event.key] = nil }
            let kind: RecordChange.Kind =
                switch event.fields["archived"]?.bool {
                case true?: .archived
                case false?: .restored
                case nil: .updated
                }
            return RecordChange(
                event.key, kind, properties: names.map { ($0 + single).sorted() },
                associations: RecordType.allCases.filter { set.contains("associations.\($0.rawValue)") }, position: event.position)
        }
    }

    /// A property that came without a value, as all do when somebody defines it, is no change.
    private static func names(of new: BSONDocument, unlike old: BSONDocument) -> [String] {
        var rest: [String: BSONElement] = [:]
        for element in old.elements where element.type != .null { rest[element.name] = element }
        var names: [String] = []
        for element in new.elements where element.type != .null {
            let name = element.name
            if let before = rest.removeValue(forKey: name), before.hasValue(of: element) { continue }
            names.append(name)
        }
        return names + rest.keys
    }

    // MARK: Around the events

    /// The properties of updated records as they were before the first of the events.
    private static func known(before events: [Event], by client: borrowing MongoClient) -> [RecordKey: BSONDocument] {
        let updates = events.filter { $0.operation == .updated && $0.properties != nil }
        guard updates.count <= namedMax, let first = updates.map(\.clusterTime).min(), first > 0 else { return [:] }
        var known: [RecordKey: BSONDocument] = [:]
        for (type, updates) in Dictionary(grouping: updates, by: \.key.type) {
            let ids = Set(updates.map(\.key.id))
            // Without it, as when the moment is too long ago, the changes are told without names.
            let answer = try? client.command([
                "find": .string(type.rawValue), "filter": ["_id": .anyOf(Array(ids))], "projection": ["properties": 1],
                "batchSize": .int32(Int32(ids.count)), "singleBatch": true, "maxTimeMS": 5_000,
                "readConcern": ["level": "snapshot", "atClusterTime": .timestamp(first - 1)],
            ])
            for case .document(let document) in answer?["cursor"]?.document?["firstBatch"]?.array ?? [] {
                guard let id = document["_id"]?.string, let properties = document["properties"]?.document else { continue }
                known[RecordKey(type, id)] = properties
            }
        }
        return known
    }

    /// What the deleted ones were merged into: their tombstones were there before their documents went.
    private static func survivors(of events: [Event], by client: borrowing MongoClient) throws -> [RecordKey: String] {
        let deleted = events.filter { $0.operation == .deleted }.map(\.key)
        return deleted.isEmpty ? [:] : try Tombstones.survivors(of: deleted, by: client)
    }
}
