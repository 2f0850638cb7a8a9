import Bytes
public import Model
internal import Mongo

/// The runs of syncs, one document each.
public struct RunStore: Sendable {
    static let collection = "runs"
    /// The server deletes what is older than 30 days.
    static let index = IndexSpec(
        collection, "byStart", keys: ["startedAt": -1], options: ["expireAfterSeconds": .int32(30 * 24 * 60 * 60)])

    let database: MongoDatabase

    /// Adds the run, or replaces what was saved of it before. A run that has ended never runs again: progress that was sent before its
    /// end and arrives after it is dropped.
    public func save(_ run: Run) async throws {
        let document = run.document
        var filter: [(String, BSONValue)] = [("_id", .string(run.id))]
        if !run.isFinished { filter.append(("state", .string(Run.State.running.rawValue))) }
        do {
            try await database.run { [filter] in
                try $0.replaceOne(BSONDocument(filter), with: document, upsert: true, in: RunStore.collection)
            }
        } catch let error as MongoError where error.kind == .duplicateKey && !run.isFinished {
            // It is there and has ended.
        }
    }

    public func load(_ id: String) async throws -> Run? {
        try await database.run { try $0.findOne(MongoQuery(["_id": .string(id)]), in: RunStore.collection) }.flatMap { Run(document: $0) }
    }

    /// At most `limit` runs, the one started last first.
    public func latest(limit: Int) async throws -> [Run] {
        try await database.run { client in
            var runs: [Run] = []
            try client.find(MongoQuery(sort: ["startedAt": -1], limit: limit), in: RunStore.collection) { document in
                if let run = Run(document: document) { runs.append(run) }
            }
            return runs
        }
    }

    /// Ends runs whose instance has said nothing since `instant`: it is dead.
    public func failInterrupted(silentSince instant: Timestamp, at now: Timestamp) async throws {
        _ = try await database.run { client in
            try client.updateMany(
                ["state": .string(Run.State.running.rawValue), "heartbeatAt": ["$lt": .date(instant.milliseconds)]],
                update: [
                    "$set": [
                        "state": .string(Run.State.failed.rawValue), "failureCode": .string(Run.FailureCode.interrupted.rawValue),
                        "finishedAt": .date(now.milliseconds),
                    ]
                ], in: RunStore.collection)
        }
    }
}
