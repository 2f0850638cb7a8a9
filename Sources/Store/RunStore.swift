public import Bytes
internal import Mongo

/// The runs of syncs, as their own documents: `_id` (string), `startedAt` (date) and what the run notes of itself.
public struct RunStore: Sendable {
    static let collection = "runs"
    /// Newest first, and the server deletes what is older than 30 days.
    static let index = IndexSpec(
        collection, "byStart", keys: ["startedAt": -1], options: ["expireAfterSeconds": .int32(30 * 24 * 60 * 60)])

    let database: MongoDatabase

    /// Replaces the run of that `_id`, or adds it.
    public func save(_ run: BSONDocument) async throws {
        guard let id = run["_id"]?.string else { preconditionFailure("a run has a string as its _id") }
        try await database.run { try $0.replaceOne(["_id": .string(id)], with: run, upsert: true, in: RunStore.collection) }
    }

    public func load(_ id: String) async throws -> BSONDocument? {
        try await database.run { try $0.findOne(MongoQuery(["_id": .string(id)]), in: RunStore.collection) }
    }

    /// At most `limit` runs, the one started last first.
    public func latest(_ limit: Int) async throws -> [BSONDocument] {
        try await database.run { client in
            var runs: [BSONDocument] = []
            try client.find(MongoQuery(sort: ["startedAt": -1], limit: limit), in: RunStore.collection) { runs.append($0) }
            return runs
        }
    }
}
