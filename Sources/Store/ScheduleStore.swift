import Bytes
public import Model
import Mongo

/// When each kind of scheduled sync is due. Shared by all instances: whoever takes a turn moves the time on, so none runs twice.
public struct ScheduleStore: Sendable {
    static let collection = "schedule"

    let database: MongoDatabase

    /// Takes the turn of `name` if it is due.
    ///
    /// - Parameters:
    ///   - nextAt: when the turn after this one is due.
    ///   - latest: the latest instant that makes sense; a due time beyond it, from a longer interval of before, is brought back to it.
    /// - Returns: whether the caller is to carry it out.
    public func takeTurn(_ name: String, at now: Timestamp, nextAt: Timestamp, latest: Timestamp) async throws -> Bool {
        try await database.run { client in
            // The first instance ever only sets the time; the upsert does nothing for the others.
            let first = try client.bulk(
                [
                    .updateOne(["_id": .string(name)], update: ["$setOnInsert": ["dueAt": .date(nextAt.milliseconds)]], upsert: true),
                    .updateOne(
                        ["_id": .string(name), "dueAt": ["$gt": .date(latest.milliseconds)]],
                        update: ["$set": ["dueAt": .date(latest.milliseconds)]]),
                ], in: ScheduleStore.collection)
            guard first.upserted.isEmpty else { return false }
            return try client.findOneAndUpdate(
                ["_id": .string(name), "dueAt": ["$lte": .date(now.milliseconds)]], update: ["$set": ["dueAt": .date(nextAt.milliseconds)]],
                in: ScheduleStore.collection) != nil
        }
    }
}
