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
    ///   - firstAt: when the first turn ever is due; nil is `nextAt`.
    ///   - nextAt: when this one is due again unless `setNext` says otherwise.
    ///   - latest: the latest instant that makes sense; a due time beyond it, from a longer interval of before, is brought back to it.
    /// - Returns: whether the caller is to carry it out.
    public func takeTurn(_ name: String, at now: Timestamp, firstAt: Timestamp? = nil, nextAt: Timestamp, latest: Timestamp) async throws -> Bool {
        try await database.run { client in
            // The first instance ever only sets the time; the upsert does nothing for the others.
            let first = try client.bulk(
                [
                    .updateOne(["_id": .string(name)], update: ["$setOnInsert": ["dueAt": .date((firstAt ?? nextAt).milliseconds)]], upsert: true),
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

    /// Says when `name` is due after the turn that was taken.
    public func setNext(_ name: String, at instant: Timestamp) async throws {
        _ = try await database.run {
            try $0.updateOne(["_id": .string(name)], update: ["$set": ["dueAt": .date(instant.milliseconds)]], in: ScheduleStore.collection)
        }
    }

    // MARK: Work of one instance at a time

    /// Takes `name` for the caller alone until `until`. The first time ever it is due at once.
    ///
    /// - Parameter holder: a text that no other caller uses.
    /// - Returns: false when it is not due yet, or somebody has it.
    public func lease(_ name: String, holder: String, at now: Timestamp, until: Timestamp) async throws -> Bool {
        do {
            return try await database.run { client in
                try client.findOneAndUpdate(
                    ["_id": .string(name), "dueAt": ["$lte": .date(now.milliseconds)]],
                    update: ["$set": ["dueAt": .date(until.milliseconds), "holder": .string(holder)]], upsert: true,
                    in: ScheduleStore.collection) != nil
            }
        } catch let error as MongoError where error.kind == .duplicateKey {
            return false
        }
    }

    /// Keeps what was leased.
    ///
    /// - Returns: false when the lease had ended and somebody else has it.
    public func extend(_ name: String, holder: String, until: Timestamp) async throws -> Bool {
        try await database.run { client in
            try client.updateOne(
                ["_id": .string(name), "holder": .string(holder)], update: ["$set": ["dueAt": .date(until.milliseconds)]],
                in: ScheduleStore.collection)
        }
    }

    /// Gives back what was leased; it is due again at `nextAt`.
    public func end(_ name: String, holder: String, at now: Timestamp, nextAt: Timestamp) async throws {
        _ = try await database.run { client in
            try client.updateOne(
                ["_id": .string(name), "holder": .string(holder)],
                update: ["$set": ["dueAt": .date(nextAt.milliseconds), "holder": nil, "endedAt": .date(now.milliseconds)]],
                in: ScheduleStore.collection)
        }
    }

    /// Makes `name` due now, unless somebody has it or it has been done since `instant`.
    public func hasten(_ name: String, at now: Timestamp, unlessSince instant: Timestamp) async throws {
        _ = try await database.run { client in
            try client.updateMany(
                ["_id": .string(name), "holder": nil, "endedAt": ["$lt": .date(instant.milliseconds)]],
                update: ["$min": ["dueAt": .date(now.milliseconds)]], in: ScheduleStore.collection)
        }
    }
}
