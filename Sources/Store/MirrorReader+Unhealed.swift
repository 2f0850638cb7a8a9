public import Model
import Bytes
import Mongo

extension MirrorReader {
    /// Live records with this status, those first that were known to equal HubSpot longest ago.
    ///
    /// - Parameter limit: the most ids; read from an index without a document but for each id.
    public func oldest(_ status: SyncStatus, of type: RecordType, limit: Int) async throws -> [String] {
        var query = MirrorReader.countQuery(status)
        query.projection = ["_id": 1]
        query.sort = ["lastSyncedAt": 1]
        query.limit = limit
        return try await database.run { [query] client in
            var ids: [String] = []
            try client.find(query, in: type.rawValue) { if let id = $0["_id"]?.string { ids.append(id) } }
            return ids
        }
    }

    /// Those of `ids` that are live and not `synced`.
    public func unhealed(among ids: [String], of type: RecordType) async throws -> [String] {
        try await database.run { client in
            var found: [String] = []
            let query = MongoQuery(
                ["_id": .anyOf(ids), "archived": false, "syncStatus": ["$ne": .string(SyncStatus.synced.rawValue)]],
                projection: ["_id": 1])
            try client.find(query, in: type.rawValue) { if let id = $0["_id"]?.string { found.append(id) } }
            return found
        }
    }
}
