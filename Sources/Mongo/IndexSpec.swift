public import Bytes

/// An index that must exist.
public struct IndexSpec: Sendable {
    public let collection: String
    public let name: String
    public let keys: BSONDocument
    /// `unique`, `collation`, `expireAfterSeconds`, `partialFilterExpression`.
    public let options: BSONDocument

    public init(_ collection: String, _ name: String, keys: BSONDocument, options: BSONDocument = [:]) {
        self.collection = collection
        self.name = name
        self.keys = keys
        self.options = options
    }

    var document: BSONDocument {
        BSONDocument([("key", .document(keys)), ("name", .string(name))] + options.elements.map { ($0.name, $0.value) })
    }
}
