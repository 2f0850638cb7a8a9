public import Bytes

/// What to find, and how.
public struct MongoQuery: Sendable {
    /// The server's own limit for calls that name none; shorter than the socket's, so that the server ends the work first.
    public static let defaultMaxTime = Duration.seconds(15)

    public var filter: BSONDocument
    public var projection: BSONDocument?
    public var sort: BSONDocument?
    /// nil: all.
    public var limit: Int?
    public var batchSize: Int?
    /// The keys of an index, whatever its name.
    public var hint: BSONDocument?
    public var collation: BSONDocument?
    public var maxTime: Duration
    /// Whether a sort beyond the server's memory may go to its disk instead of failing.
    public var allowDiskUse: Bool

    public init(
        _ filter: BSONDocument = [:], projection: BSONDocument? = nil, sort: BSONDocument? = nil, limit: Int? = nil,
        batchSize: Int? = nil, hint: BSONDocument? = nil, collation: BSONDocument? = nil, maxTime: Duration = defaultMaxTime,
        allowDiskUse: Bool = false
    ) {
        self.filter = filter
        self.projection = projection
        self.sort = sort
        self.limit = limit
        self.batchSize = batchSize
        self.hint = hint
        self.collation = collation
        self.maxTime = maxTime
        self.allowDiskUse = allowDiskUse
    }

    /// The options of `find`, in the server's names.
    var options: BSONDocument {
        var options = shared
        if let projection { options.append(("projection", .document(projection))) }
        if let sort { options.append(("sort", .document(sort))) }
        if let limit { options.append(("limit", .int64(Int64(limit)))) }
        if let batchSize { options.append(("batchSize", .int32(Int32(batchSize)))) }
        if allowDiskUse { options.append(("allowDiskUse", true)) }
        return BSONDocument(options)
    }

    /// The options of `aggregate` that the query shares with `find`.
    var aggregateOptions: BSONDocument { BSONDocument(shared) }

    private var shared: [(String, BSONValue)] {
        var options: [(String, BSONValue)] = [("maxTimeMS", .int64(maxTime.wholeMilliseconds))]
        if let hint { options.append(("hint", .document(hint))) }
        if let collation { options.append(("collation", .document(collation))) }
        return options
    }

    /// The stages that count what the filter finds.
    var countPipeline: [BSONDocument] { [["$match": .document(filter)], ["$group": ["_id": nil, "n": ["$sum": 1]]]] }
}

extension Duration {
    var wholeMilliseconds: Int64 { components.seconds * 1000 + components.attoseconds / 1_000_000_000_000_000 }
}

extension BSONValue {
    /// `{$in: […]}`: what equals any of the texts, each behind `prefix`.
    public static func anyOf(_ texts: [String], prefix: String = "") -> BSONValue {
        var writer = BSONWriter(capacity: 32 + texts.count * 32)
        writer.array("$in") { array in
            for (index, text) in texts.enumerated() { array.append(at: index, prefix: prefix, text) }
        }
        return .document(BSONDocument(bytes: writer.finish()))
    }
}
