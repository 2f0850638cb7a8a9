public import Bytes
public import Model
internal import Mongo

/// Reads what the mirror has.
public struct MirrorReader: Sendable {
    /// Records a page at most.
    public static let limitMax = 1000

    let database: MongoDatabase
    private let totals: MirrorTotals

    init(database: MongoDatabase, watch: MirrorWatch) {
        self.database = database
        totals = MirrorTotals(database: database, watch: watch)
    }

    /// One page, and the number of all that the query has: exact, and of some seconds ago when the mirror changes and counting takes long.
    ///
    /// Cost: for the default order, sorts by a searched field and `q`, as many documents as the page has, and a count of index entries
    /// after a change; a sort by another field reads the collection.
    ///
    /// - Throws: `StoreError.badCursor`, `MongoError`.
    public func page(_ query: MirrorQuery) async throws -> MirrorPage {
        async let total = totals.total(of: query)
        let (documents, after) = try await documents(query)
        return MirrorPage(documents: documents, after: after, total: try await total)
    }

    /// One page and the cursor of the next, for who does not want to wait until all that the query has is counted.
    ///
    /// - Throws: `StoreError.badCursor`, `MongoError`.
    public func documents(_ query: MirrorQuery) async throws -> (documents: [BSONDocument], after: String?) {
        precondition((1...MirrorReader.limitMax).contains(query.limit), "a page has 1...1000 records")
        let plan = MirrorPlan(query)
        let pageQuery = plan.page(after: try await cursor(of: query, plan))
        var documents = try await database.run { client in
            var documents: [BSONDocument] = []
            try client.find(pageQuery, in: query.type.rawValue) { documents.append($0) }
            return documents
        }
        guard documents.count > query.limit else { return (documents, nil) }
        documents.removeLast(documents.count - query.limit)
        let after = documents.last.map { last in
            MirrorCursor(id: last["_id"]?.string ?? "", value: last[plan.sort.path] ?? .null).encoded(for: plan.cursorSort)
        }
        return (documents, after)
    }

    /// nil when the mirror has no record of that id.
    public func record(_ type: RecordType, _ id: String) async throws -> BSONDocument? {
        try await database.run { try $0.findOne(MongoQuery(["_id": .string(id)]), in: type.rawValue) }
    }

    /// Live records that were not seen in HubSpot since `instant`, at most `limit`.
    public func unseen(of type: RecordType, since instant: Timestamp, limit: Int) async throws -> [String] {
        try await database.run { client in
            var ids: [String] = []
            for status in SyncStatus.allCases where ids.count < limit {
                let query = MongoQuery(
                    ["archived": false, "syncStatus": .string(status.rawValue), "lastSyncedAt": ["$lt": .date(instant.milliseconds)]],
                    projection: ["_id": 1], limit: limit - ids.count, hint: MirrorIndex.byStatus)
                try client.find(query, in: type.rawValue) { if let id = $0["_id"]?.string { ids.append(id) } }
            }
            return ids
        }
    }

    /// The `updatedAt` of the live and healthy ones among these records.
    public func versions(of ids: [String], _ type: RecordType) async throws -> [String: Timestamp] {
        try await database.run { client in
            var versions: [String: Timestamp] = [:]
            let query = MongoQuery(
                ["_id": .anyOf(ids), "archived": false, "syncStatus": ["$ne": .string(SyncStatus.error.rawValue)]],
                projection: ["hubspotUpdatedAt": 1])
            try client.find(query, in: type.rawValue) { document in
                guard let id = document["_id"]?.string, let updatedAt = document["hubspotUpdatedAt"]?.milliseconds else { return }
                versions[id] = Timestamp(milliseconds: updatedAt)
            }
            return versions
        }
    }

    /// Records whose last attempt failed, at most `limit` of each type.
    public func failedRecords(limit: Int) async throws -> [RecordKey] {
        var keys: [RecordKey] = []
        for type in RecordType.allCases {
            keys += try await database.run { client in
                var found: [RecordKey] = []
                let query = MongoQuery(
                    ["archived": false, "syncStatus": .string(SyncStatus.error.rawValue)], projection: ["_id": 1], limit: limit,
                    hint: MirrorIndex.byStatus)
                try client.find(query, in: type.rawValue) { if let id = $0["_id"]?.string { found.append(RecordKey(type, id)) } }
                return found
            }
        }
        return keys
    }

    /// Exact numbers of every type, read from an index without touching a document.
    public func counts() async throws -> [RecordType: MirrorCounts] {
        let database = database
        return try await withThrowingTaskGroup(of: (RecordType, MirrorCounts).self) { group in
            for type in RecordType.allCases {
                group.addTask { (type, try await database.run { try MirrorReader.counts(of: type, by: $0) }) }
            }
            return try await group.reduce(into: [:]) { $0[$1.0] = $1.1 }
        }
    }

    // MARK: Queries

    static func countQuery(_ status: SyncStatus) -> MongoQuery {
        MongoQuery(["archived": false, "syncStatus": .string(status.rawValue)], hint: MirrorIndex.byStatus)
    }

    static let archivedQuery = MongoQuery(["archived": true], hint: MirrorIndex.byStatus)

    static func lastSyncedQuery(_ status: SyncStatus) -> MongoQuery {
        var query = countQuery(status)
        query.projection = ["_id": 0, "lastSyncedAt": 1]
        query.sort = ["lastSyncedAt": -1]
        query.limit = 1
        return query
    }

    private static func counts(of type: RecordType, by client: borrowing MongoClient) throws -> MirrorCounts {
        let collection = type.rawValue
        var counts = MirrorCounts()
        counts.synced = try client.count(countQuery(.synced), in: collection)
        counts.pending = try client.count(countQuery(.pending), in: collection)
        counts.error = try client.count(countQuery(.error), in: collection)
        counts.archived = try client.count(archivedQuery, in: collection)
        for status in SyncStatus.allCases {
            guard let last = try client.findOne(lastSyncedQuery(status), in: collection)?["lastSyncedAt"]?.milliseconds else { continue }
            counts.lastSyncedAt = max(counts.lastSyncedAt ?? Timestamp(milliseconds: last), Timestamp(milliseconds: last))
        }
        return counts
    }

    /// The query's cursor, with a value that was too long for it read from its record.
    private func cursor(of query: MirrorQuery, _ plan: MirrorPlan) async throws -> MirrorCursor? {
        guard let text = query.after else { return nil }
        let cursor = try MirrorCursor(text, for: plan.cursorSort)
        if cursor.value != nil { return cursor }
        guard let record = try await record(query.type, cursor.id) else {
            throw StoreError(kind: .badCursor, message: "the record at which the page before ended is gone; start at the first page")
        }
        return MirrorCursor(id: cursor.id, value: record[plan.sort.path] ?? .null)
    }
}
