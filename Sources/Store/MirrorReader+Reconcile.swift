import Bytes
public import Model
import Mongo

extension MirrorReader {
    /// Ids of live records behind `after`, in the order of their texts.
    public func liveIds(of type: RecordType, after: String?, limit: Int) async throws -> [String] {
        try await database.run { client in
            var ids: [String] = []
            let query = MongoQuery(
                ["_id": ["$gt": .string(after ?? "")], "archived": false], projection: ["_id": 1], sort: ["_id": 1], limit: limit, hint: ["_id": 1])
            try client.find(query, in: type.rawValue) { if let id = $0["_id"]?.string { ids.append(id) } }
            return ids
        }
    }

    /// What of these records, as HubSpot's recycle bin has them, the mirror has otherwise: still live, deleted earlier, or merged away.
    public func unlikeArchived(_ records: [Record], of type: RecordType) async throws -> [String] {
        let inBin = Dictionary(records.map { ($0.id, $0.updatedAt.milliseconds) }, uniquingKeysWith: max)
        // Those too that were merged into a record which was deleted since.
        let ids = inBin.keys + records.flatMap(\.mergedIds)
        return try await database.run { client in
            var unlike: [String] = []
            let query = MongoQuery(
                ["_id": .anyOf(ids)], projection: ["archived": 1, "hubspotUpdatedAt": 1], batchSize: ids.count + 1)
            try client.find(query, in: type.rawValue) { document in
                guard let id = document["_id"]?.string else { return }
                let isOlder = inBin[id].map { document["hubspotUpdatedAt"]?.milliseconds ?? 0 < $0 } ?? true
                if isOlder || document["archived"]?.bool != true { unlike.append(id) }
            }
            return unlike.sorted()
        }
    }

    /// Ids of records that were deleted after `instant`, without `others`.
    public func archivedIds(of type: RecordType, after instant: Timestamp, besides others: Set<String>) async throws -> [String] {
        try await database.run { client in
            var ids: [String] = []
            let query = MongoQuery(
                ["archived": true, "archivedAt": ["$gt": .date(instant.milliseconds)]], projection: ["_id": 1], hint: MirrorIndex.byUpdate)
            try client.find(query, in: type.rawValue) { document in
                if let id = document["_id"]?.string, !others.contains(id) { ids.append(id) }
            }
            return ids.sorted()
        }
    }
}
