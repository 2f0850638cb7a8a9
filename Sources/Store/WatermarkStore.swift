import Bytes
public import Model
import Mongo

/// Up to which instant each type's changes are known to be in the mirror.
public struct WatermarkStore: Sendable {
    static let collection = "watermarks"

    let database: MongoDatabase

    /// nil before the first complete full sync of the type.
    public func load(_ type: RecordType) async throws -> Timestamp? {
        let document = try await database.run { try $0.findOne(MongoQuery(["_id": .string(type.rawValue)]), in: WatermarkStore.collection) }
        return document?["instant"]?.milliseconds.map(Timestamp.init(milliseconds:))
    }

    /// Moves the watermark forward; never back.
    public func advance(_ type: RecordType, to instant: Timestamp) async throws {
        _ = try await database.run {
            try $0.bulk(
                [.updateOne(["_id": .string(type.rawValue)], update: ["$max": ["instant": .date(instant.milliseconds)]], upsert: true)],
                in: WatermarkStore.collection)
        }
    }
}
