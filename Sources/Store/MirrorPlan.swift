internal import Bytes
internal import Model
internal import Mongo

/// A `MirrorQuery` in MongoDB's terms.
struct MirrorPlan {
    /// What a cursor of this query must be made for.
    let cursorSort: String
    let sort: MirrorSort
    private let filter: [(String, BSONValue)]
    /// The alternatives of `q`; none without it.
    private let search: [BSONDocument]
    private let limit: Int
    private let collation: BSONDocument?

    init(_ query: MirrorQuery) {
        sort = query.sort
        limit = query.limit
        var filter: [(String, BSONValue)] = [("archived", .bool(query.archived))]
        if let status = query.syncStatus { filter.append(("syncStatus", .string(status.rawValue))) }
        if let instant = query.updatedAfter { filter.append(("hubspotUpdatedAt", ["$gt": .date(instant.milliseconds)])) }
        self.filter = filter
        var search: [BSONDocument] = []
        if let q = query.q, !q.isEmpty {
            // U+FFFF is the last character of every collation.
            search = query.type.searchedFields.map { BSONDocument([($0, .document(["$gte": .string(q), "$lt": .string(q + "\u{FFFF}")]))]) }
        }
        self.search = search
        let isCollated = query.sort.isText || !search.isEmpty
        collation = isCollated ? MirrorIndex.collation : nil
        cursorSort = query.sort.text + (isCollated ? "~" : "")
    }

    /// All that the query has, for its number.
    var total: MongoQuery { MongoQuery(filter(after: []), collation: collation) }

    /// One record more than a page, to know whether there is another.
    func page(after cursor: MirrorCursor?) -> MongoQuery {
        let direction: BSONValue = sort.isDescending ? -1 : 1
        return MongoQuery(
            filter(after: cursor.map(alternatives) ?? []),
            sort: sort.path == "_id" ? ["_id": direction] : BSONDocument([(sort.path, direction), ("_id", direction)]), limit: limit + 1,
            batchSize: limit + 1, collation: collation,
            // An order without an index reads the whole collection; it must not fail for its size.
            allowDiskUse: true)
    }

    private func filter(after alternatives: [BSONDocument]) -> BSONDocument {
        func joined(_ more: BSONDocument) -> BSONDocument {
            // One field may be named twice (`updatedAfter` and the cursor): both hold.
            ["$and": [.document(BSONDocument(filter)), .document(more)]]
        }
        if search.isEmpty {
            // Each alternative whole, so that each is one range of the index and the server merges them in order.
            return switch alternatives.count {
            case 0: BSONDocument(filter)
            case 1: joined(alternatives[0])
            default: ["$or": .array(alternatives.map { .document(joined($0)) })]
            }
        }
        var found = filter
        found.append(("$or", .array(search.map(BSONValue.document))))
        if !alternatives.isEmpty { found.append(("$and", [["$or": .array(alternatives.map(BSONValue.document))]])) }
        return BSONDocument(found)
    }

    /// What comes after the cursor, in MongoDB's order: null and missing, numbers, texts, booleans, dates.
    private func alternatives(after cursor: MirrorCursor) -> [BSONDocument] {
        let further = sort.isDescending ? "$lt" : "$gt"
        let beyond = BSONValue.document(BSONDocument([(further, .string(cursor.id))]))
        guard sort.path != "_id" else { return [["_id": beyond]] }
        let value = cursor.value ?? .null
        let isNull = value == .null
        var alternatives = [BSONDocument([(sort.path, value), ("_id", beyond)])]
        // A comparison finds values of its own type only; the types beyond it are alternatives of their own.
        if !isNull { alternatives.append(BSONDocument([(sort.path, .document(BSONDocument([(further, value)])))])) }
        guard !sort.isOurs else { return alternatives }
        if isNull {
            if !sort.isDescending { alternatives.append(BSONDocument([(sort.path, .document(["$ne": nil]))])) }
            return alternatives
        }
        let order = ["number", "string", "bool", "date"]
        let own = order.firstIndex(of: MirrorPlan.typeName(of: value)) ?? 0
        let types = sort.isDescending ? order[..<own] : order[(own + 1)...]
        if !types.isEmpty { alternatives.append(BSONDocument([(sort.path, .document(["$type": .strings(types)]))])) }
        if sort.isDescending { alternatives.append(BSONDocument([(sort.path, nil)])) }
        return alternatives
    }

    private static func typeName(of value: BSONValue) -> String {
        switch value {
        case .string: "string"
        case .bool: "bool"
        case .date: "date"
        default: "number"
        }
    }
}
