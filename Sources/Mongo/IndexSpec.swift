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

    /// The same under a name that nobody else has.
    var renamed: IndexSpec { IndexSpec(collection, "hubspotSync_" + name, keys: keys, options: options) }

    /// The same for queries where documents may not be unique: on a sharded cluster only what documents are sharded by can be.
    var permissive: IndexSpec? {
        guard options["unique"] != nil else { return nil }
        return IndexSpec(
            collection, "hubspotSync_any_" + name, keys: keys,
            options: BSONDocument(options.elements.map { ($0.name, $0.value) }.filter { $0.0 != "unique" }))
    }

    /// Whether an index that the server lists does the same, whatever its name.
    func isServed(by listed: BSONDocument) -> Bool {
        // Drivers differ in the type of a direction.
        func directions(_ keys: BSONDocument?) -> [String]? { keys?.elements.map { "\($0.name) \($0.value.integer ?? 0)" } }
        let listedCollation = listed["collation"]?.document
        return directions(listed["key"]?.document) == directions(keys) && listed["sparse"] == nil && listed["hidden"] != true
            && (listed["unique"] == true || options["unique"] == nil)
            && listed["partialFilterExpression"] == options["partialFilterExpression"]
            && listed["expireAfterSeconds"]?.integer == options["expireAfterSeconds"]?.integer
            // The server adds to a collation what was not said.
            && ["locale", "strength"].allSatisfy { listedCollation?[$0] == options["collation"]?.document?[$0] }
    }
}

/// An index that the server does not make.
public struct RefusedIndex: Sendable {
    public let index: IndexSpec
    public let error: MongoError
}
