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

    /// An update of the one document that the filter names by `_id`, which the driver does not repeat when a connection breaks: to find
    /// out that it was done before, MongoDB would note each in its session, for a seventh of what the update costs. For what can be
    /// repeated by whoever asks for it.
    ///
    /// - Source: mongoc 1.23, "Retryable Writes": a command with an update of many is none.
    public static func updateUnretried(_ filter: BSONDocument, update: BSONDocument) -> MongoWrite { .updateMany(filter, update: update) }
}
