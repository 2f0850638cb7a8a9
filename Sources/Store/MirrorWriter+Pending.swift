import Bytes
public import Model
import Mongo

extension MirrorWriter {
    /// Records of one property that are turned at once; the rest are found the next time.
    private static let readWithoutMax = 10_000

    /// Turns records `pending` that changed after these properties were made and yet were read without them, which happens while a list
    /// of names from before is still in use.
    ///
    /// - Parameter properties: made lately, so that few records have changed since.
    /// - Returns: how many were turned.
    @discardableResult
    public func markReadWithout(_ properties: [Definition], of type: RecordType) async throws -> Int {
        var turned = 0
        for property in properties {
            // No name of HubSpot's has one; in a path it would mean something else.
            guard let createdAt = property.createdAt, !property.id.contains("."), !property.id.hasPrefix("$") else { continue }
            // By the index of changes: left to itself, the server may walk all that are synced.
            let query = MongoQuery(
                BSONDocument([
                    ("archived", false), ("hubspotUpdatedAt", ["$gte": .date(createdAt.milliseconds)]),
                    ("syncStatus", .string(SyncStatus.synced.rawValue)), ("properties.\(property.id)", ["$exists": false]),
                ]), projection: ["_id": 1], limit: MirrorWriter.readWithoutMax, hint: MirrorIndex.byUpdate)
            turned += try await writing { client in
                var ids: [BSONValue] = []
                try client.find(query, in: type.rawValue) { if let id = $0["_id"] { ids.append(id) } }
                guard !ids.isEmpty else { return 0 }
                return try client.updateMany(
                    ["_id": ["$in": .array(ids)], "syncStatus": .string(SyncStatus.synced.rawValue)],
                    update: ["$set": ["syncStatus": .string(SyncStatus.pending.rawValue)]], in: type.rawValue)
            }
        }
        return turned
    }
}
