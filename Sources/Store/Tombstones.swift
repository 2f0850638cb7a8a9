import Bytes
import Model
import Mongo

/// A record that must not come back, however old the page is that still lists it.
struct Tombstone: Sendable {
    enum Reason: Sendable {
        /// Erased for privacy.
        case erased
        case merged(into: String)
    }

    let key: RecordKey
    let reason: Reason
    let at: Timestamp
}

/// The ids of records that were erased or merged away; nothing of what they held.
enum Tombstones {
    static let collection = "tombstones"

    static func set(_ tombstones: [Tombstone], by client: borrowing MongoClient) throws {
        let writes = tombstones.map { tombstone in
            var fields: [(String, BSONValue)] = [("at", .date(tombstone.at.milliseconds))]
            switch tombstone.reason {
            case .erased: fields.append(("reason", "erased"))
            case .merged(let survivor): fields += [("reason", "merged"), ("into", .string(survivor))]
            }
            return MongoWrite.updateOne(
                ["_id": .string(tombstone.key.description)], update: ["$set": .document(BSONDocument(fields))], upsert: true)
        }
        try client.carryOut(writes, in: collection)
    }

    /// Those of `ids` that must not come back.
    static func buried(_ ids: [String], of type: RecordType, by client: borrowing MongoClient) throws -> Set<String> {
        var buried: Set<String> = []
        let query = MongoQuery(["_id": .anyOf(ids, prefix: type.keyPrefix)], projection: ["_id": 1])
        try client.find(query, in: collection) { document in
            if let key = document["_id"]?.string.flatMap({ RecordKey($0) }) { buried.insert(key.id) }
        }
        return buried
    }

    /// What those of the records that were merged away were merged into.
    static func survivors(of keys: [RecordKey], by client: borrowing MongoClient) throws -> [RecordKey: String] {
        var survivors: [RecordKey: String] = [:]
        let query = MongoQuery(["_id": .anyOf(keys.map(\.description))], projection: ["into": 1])
        try client.find(query, in: collection) { document in
            if let key = document["_id"]?.string.flatMap({ RecordKey($0) }) { survivors[key] = document["into"]?.string }
        }
        return survivors
    }

    /// The id that a record was merged into; nil for one that was not.
    static func survivor(of key: RecordKey, by client: borrowing MongoClient) throws -> String? {
        try client.findOne(MongoQuery(["_id": .string(key.description)], projection: ["into": 1]), in: collection)?["into"]?.string
    }
}
