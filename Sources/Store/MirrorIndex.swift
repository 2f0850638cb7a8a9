internal import Bytes
internal import Model
internal import Mongo

/// The indexes of a mirror collection. Each costs every write some 10 µs, so each says what it is for.
enum MirrorIndex {
    /// Default order of reads, `updatedAfter`, and paging through both. Walked backwards for newest first.
    static let byUpdate: BSONDocument = ["archived": 1, "hubspotUpdatedAt": 1, "_id": 1]
    /// Exact counts by status without a document, and the search for stale records.
    static let byStatus: BSONDocument = ["archived": 1, "syncStatus": 1, "lastSyncedAt": 1]

    /// `q`, and sorting by the field.
    static func by(_ field: String) -> BSONDocument { BSONDocument([("archived", 1), (field, 1), ("_id", 1)]) }

    /// Case and accents make no difference: `jo` finds `Jo`, `JO` and `Jó`. Strength 1, because a range compares base letters before
    /// anything else: at strength 2 a prefix with an accent would find some words without it and not others.
    static let collation: BSONDocument = ["locale": "en", "strength": 1]

    static func all(of type: RecordType) -> [IndexSpec] {
        let collection = type.rawValue
        return [
            // Readers that ask by `hubspotId`, which the contract promises; unique also against documents that are not ours.
            IndexSpec(collection, "byHubspotId", keys: ["hubspotId": 1], options: ["unique": true]),
            IndexSpec(collection, "byUpdate", keys: byUpdate),
            IndexSpec(collection, "byStatus", keys: byStatus),
        ]
            + type.searchedFields.map { field in
                IndexSpec(collection, "by_" + field, keys: by(field), options: ["collation": .document(collation)])
            }
    }
}
