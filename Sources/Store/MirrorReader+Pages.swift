public import Bytes
public import Model
import Mongo

/// What the admin page asks for: never more than it shows, whatever the size of the mirror.
extension MirrorReader {
    /// Live records of which a searched field begins with `q`, and the record with that id whether archived or not.
    ///
    /// In the order of the fields, each read along its index: a `q` of one letter costs no more than a whole address.
    ///
    /// - Parameter limit: records at most.
    public func search(_ type: RecordType, beginningWith q: String, limit: Int) async throws -> [BSONDocument] {
        guard !q.isEmpty else { return [] }
        return try await database.run { client in
            var found: [BSONDocument] = []
            var seen: Set<String> = []
            func take(_ document: BSONDocument) {
                if found.count < limit, let id = document["_id"]?.string, seen.insert(id).inserted { found.append(document) }
            }
            if let record = try client.findOne(MongoQuery(["_id": .string(q)]), in: type.rawValue) { take(record) }
            for field in type.searchedFields where found.count < limit {
                try client.find(MirrorReader.prefixQuery(field, q, limit: limit), in: type.rawValue, take)
            }
            return found
        }
    }

    /// Live records whose last attempt failed, the one last known to be right first.
    ///
    /// - Parameter limit: records at most.
    public func failures(_ type: RecordType, limit: Int) async throws -> [BSONDocument] {
        try await database.run { client in
            var found: [BSONDocument] = []
            try client.find(MirrorReader.failuresQuery(limit: limit), in: type.rawValue) { found.append($0) }
            return found
        }
    }

    static func prefixQuery(_ field: String, _ q: String, limit: Int) -> MongoQuery {
        // U+FFFF is the last character of every collation.
        let range: BSONDocument = ["$gte": .string(q), "$lt": .string(q + "\u{FFFF}")]
        return MongoQuery(
            BSONDocument([("archived", false), (field, .document(range))]),
            sort: BSONDocument([(field, 1), ("_id", 1)]), limit: limit, batchSize: limit, hint: MirrorIndex.by(field),
            collation: MirrorIndex.collation)
    }

    static func failuresQuery(limit: Int) -> MongoQuery {
        var query = countQuery(.error)
        query.sort = ["lastSyncedAt": -1]
        query.limit = limit
        query.projection = ["properties": 0]
        return query
    }
}
