public import Bytes
public import Model
import Mongo

/// The collections `properties`, `pipelines` and `owners`, and how the last reading of each list went.
///
/// What HubSpot no longer lists stays, `archived`, for the records that still speak of it.
public struct DefinitionStore: Sendable {
    private static let states = "definitions"

    let database: MongoDatabase

    // MARK: Writing

    /// Makes the mirror of a list equal what HubSpot listed. Cheap when nothing changed: one read of fingerprints, one touch.
    ///
    /// - Parameters:
    ///   - definitions: the whole list. No account is without, so an empty one changes nothing.
    ///   - now: when HubSpot was asked. What was read later stays as it is.
    public func replace(_ set: DefinitionSet, with definitions: [Definition], at now: Timestamp) async throws {
        guard !definitions.isEmpty else { return }
        try await database.run { client in
            var stored: [String: (hash: Int64?, archived: Bool)] = [:]
            let query = MongoQuery(DefinitionStore.filter(set), projection: ["contentHash": 1, "archived": 1])
            try client.find(query, in: set.collection) { document in
                guard let id = document["_id"]?.string else { return }
                stored[id] = (document["contentHash"]?.integer, document["archived"]?.bool ?? false)
            }
            let isOlder: BSONValue = ["$not": ["$gt": .date(now.milliseconds)]]
            var writes: [MongoWrite] = []
            var unchanged: [String] = []
            var listed: Set<String> = []
            for definition in definitions {
                let id = set.idPrefix + definition.id
                let document = DefinitionDocument.make(definition, of: set, at: now)
                guard listed.insert(id).inserted else { continue }
                if let known = stored[id], known.hash == document["contentHash"]?.integer, known.archived == definition.archived {
                    unchanged.append(id)
                } else {
                    writes.append(.replaceOne(["_id": .string(id), "lastSyncedAt": isOlder], with: document, upsert: true))
                }
            }
            if !unchanged.isEmpty {
                writes.append(
                    .updateMany(["_id": .anyOf(unchanged)], update: ["$max": ["lastSyncedAt": .date(now.milliseconds)]]))
            }
            let vanished = stored.filter { !listed.contains($0.key) && !$0.value.archived }.map(\.key).sorted()
            if !vanished.isEmpty {
                writes.append(
                    .updateMany(
                        ["_id": .anyOf(vanished), "lastSyncedAt": isOlder],
                        update: [
                            "$set": [
                                "archived": true, "archivedAt": .date(now.milliseconds), "lastSyncedAt": .date(now.milliseconds),
                                "contentHash": nil,
                            ]
                        ]))
            }
            // A key that is there after all belongs to somebody's later reading.
            let failures = try client.bulk(writes, in: set.collection).failures.filter { $0.error.kind != .duplicateKey }
            if let failure = failures.first { throw failure.error }
            try client.updateOne(
                ["_id": .string(set.description)], update: ["$set": ["error": nil], "$max": ["lastSyncedAt": .date(now.milliseconds)]],
                upsert: true, in: DefinitionStore.states)
        }
    }

    /// Notes why the list could not be read, for the status.
    public func noteFailure(_ set: DefinitionSet, _ message: String) async throws {
        _ = try await database.run { client in
            try client.updateOne(
                ["_id": .string(set.description)], update: ["$set": ["error": .string(message)]], upsert: true, in: DefinitionStore.states)
        }
    }

    // MARK: Reading

    /// Documents as they are stored: properties by name, pipelines as HubSpot shows them, owners by id.
    public func documents(_ set: DefinitionSet, archived: Bool) async throws -> [BSONDocument] {
        var filter = DefinitionStore.filter(set)
        filter = BSONDocument([("archived", .bool(archived))] + filter.elements.map { ($0.name, $0.value) })
        var sort: BSONDocument = ["_id": 1]
        if case .pipelines = set { sort = ["displayOrder": 1, "_id": 1] }
        let query = MongoQuery(filter, sort: sort)
        return try await database.run { client in
            var documents: [BSONDocument] = []
            try client.find(query, in: set.collection) { documents.append($0) }
            return documents
        }
    }

    /// How a list stands.
    public struct State: Sendable, Equatable {
        /// Those that are not archived.
        public var total = 0
        /// When the list was last read whole; nil for never.
        public var lastSyncedAt: Timestamp?
        /// Why it could not be read since then; nil when it could.
        public var error: String?
    }

    public func states() async throws -> [DefinitionSet: State] {
        try await database.run { client in
            var documents: [String: BSONDocument] = [:]
            try client.find(in: DefinitionStore.states) { document in
                if let id = document["_id"]?.string { documents[id] = document }
            }
            var states: [DefinitionSet: State] = [:]
            for set in DefinitionSet.all {
                let filter = BSONDocument([("archived", false)] + DefinitionStore.filter(set).elements.map { ($0.name, $0.value) })
                let document = documents[set.description]
                states[set] = State(
                    total: try client.count(MongoQuery(filter), in: set.collection),
                    lastSyncedAt: document?["lastSyncedAt"]?.milliseconds.map(Timestamp.init(milliseconds:)), error: document?["error"]?.string)
            }
            return states
        }
    }

    /// A range of `_id`, whose index serves.
    private static func filter(_ set: DefinitionSet) -> BSONDocument {
        guard let type = set.type else { return [:] }
        // `;` comes right after `:`.
        return ["_id": ["$gte": .string(set.idPrefix), "$lt": .string("\(type.rawValue);")]]
    }
}
