public import Bytes

/// One page of records.
public struct MirrorPage: Sendable {
    /// Mirror documents as they are stored.
    public let documents: [BSONDocument]
    /// The cursor of the next page; nil at the end.
    public let after: String?
    /// How many records the whole query has, exactly.
    public let total: Int
}
