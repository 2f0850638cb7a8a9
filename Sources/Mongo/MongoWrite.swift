public import Bytes

/// One write of a bulk.
public enum MongoWrite: Sendable {
    /// A whole document as bytes, with its `_id`.
    case insert([UInt8])
    /// `update` is made of operators (`$set`, …).
    case updateOne(BSONDocument, update: BSONDocument, upsert: Bool = false)
    case updateMany(BSONDocument, update: BSONDocument)
    case replaceOne(BSONDocument, with: BSONDocument, upsert: Bool = false)
    case deleteOne(BSONDocument)
    case deleteMany(BSONDocument)
}
