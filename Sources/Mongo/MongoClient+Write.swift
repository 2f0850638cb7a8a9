public import Bytes
internal import CMongo

extension MongoClient {
    /// What a MongoDB document may weigh.
    public static let documentBytesMax = 16 * 1024 * 1024

    /// Inserts in no particular order; one document's failure leaves the others alone. The driver splits what one message cannot carry.
    ///
    /// - Throws: when the outcome is unknown or nothing could be done (`.unreachable`, `.timedOut`); some may have been written then.
    public func insert(_ documents: [[UInt8]], into collection: String) throws(MongoError) -> BulkOutcome {
        var outcome = BulkOutcome()
        var sent: [Int] = []
        var together: [UInt8] = []
        together.reserveCapacity(documents.reduce(0) { $0 + $1.count })
        for (index, document) in documents.enumerated() {
            if document.count > MongoClient.documentBytesMax {
                outcome.failures.append(.init(index: index, error: .documentTooLarge))
            } else {
                together += document
                sent.append(index)
            }
        }
        guard !sent.isEmpty else { return outcome }
        let collection = Collection(collection, of: self)
        var reply = hs_reply()
        var error = bson_error_t()
        try calls.willSend()
        let succeeded = timed(.write) { together.withC { hs_mongo_insert(collection.handle, $0, sent.count, &reply, &error) } }
        try outcome.read(BSONDocument(taking: reply), succeeded ? nil : error, indexes: sent)
        try calls.didSend()
        return outcome
    }

    /// Writes in no particular order; one write's failure leaves the others alone. Neighbours of one kind share a message.
    ///
    /// - Throws: as `insert`.
    public func bulk(_ writes: [MongoWrite], in collection: String) throws(MongoError) -> BulkOutcome {
        var outcome = BulkOutcome()
        let collection = Collection(collection, of: self)
        let bulk = Bulk(of: collection)
        /// Indexes of the writes that are sent: the driver counts only these.
        var sent: [Int] = []
        for (index, write) in writes.enumerated() {
            do {
                try bulk.append(write)
                sent.append(index)
            } catch {
                outcome.failures.append(.init(index: index, error: error))
            }
        }
        guard !sent.isEmpty else { return outcome }
        try calls.willSend()
        try timed(.write) { () throws(MongoError) in try bulk.execute(into: &outcome, indexes: sent) }
        try calls.didSend()
        return outcome
    }

    /// As `bulk`, for writes of which none may fail.
    ///
    /// - Throws: as `bulk`, and the first failure of a write; the others are carried out all the same.
    @discardableResult
    public func carryOut(_ writes: [MongoWrite], in collection: String) throws(MongoError) -> BulkOutcome {
        let outcome = try bulk(writes, in: collection)
        if let failure = outcome.failures.first { throw failure.error }
        return outcome
    }

    /// - Returns: how many documents matched.
    @discardableResult
    public func updateMany(_ filter: BSONDocument, update: BSONDocument, in collection: String) throws(MongoError) -> Int {
        try carryOut([.updateMany(filter, update: update)], in: collection).matched
    }

    /// - Returns: whether a document matched or, with `upsert`, was made.
    @discardableResult
    public func updateOne(
        _ filter: BSONDocument, update: BSONDocument, upsert: Bool = false, in collection: String
    ) throws(MongoError) -> Bool {
        let outcome = try carryOut([.updateOne(filter, update: update, upsert: upsert)], in: collection)
        return outcome.matched + outcome.upserted.count > 0
    }

    public func replaceOne(
        _ filter: BSONDocument, with document: BSONDocument, upsert: Bool = false, in collection: String
    ) throws(MongoError) {
        try carryOut([.replaceOne(filter, with: document, upsert: upsert)], in: collection)
    }

    /// - Returns: how many documents were deleted.
    @discardableResult
    public func deleteMany(_ filter: BSONDocument, in collection: String) throws(MongoError) -> Int {
        try carryOut([.deleteMany(filter)], in: collection).deleted
    }

    /// Finds and updates one document in one atomic step: how work is leased.
    ///
    /// - Parameter returnsUpdated: the document as it is after the update, else as it was before.
    /// - Returns: nil when none matched (and, with `upsert` and not `returnsUpdated`, when one was made).
    public func findOneAndUpdate(
        _ filter: BSONDocument, update: BSONDocument, sort: BSONDocument? = nil, projection: BSONDocument? = nil,
        upsert: Bool = false, returnsUpdated: Bool = true, in collection: String
    ) throws(MongoError) -> BSONDocument? {
        let collection = Collection(collection, of: self)
        var reply = hs_reply()
        var error = bson_error_t()
        try calls.willSend()
        let succeeded = timed(.write) {
            filter.withC { filter in
                update.withC { update in
                    sort.withC { sort in
                        projection.withC { projection in
                            hs_mongo_find_and_update(
                                collection.handle, filter, update, sort, projection, upsert, returnsUpdated, &reply, &error)
                        }
                    }
                }
            }
        }
        let document = BSONDocument(taking: reply)
        guard succeeded else { throw MongoError(error) }
        try document["writeConcernError"].map(MongoClient.throwWriteConcern)
        try calls.didSend()
        return document["value"]?.document
    }

    /// Makes the indexes that are missing; existing ones cost a round trip a collection. One that somebody else made with the same keys
    /// is as good.
    ///
    /// - Returns: those that the server does not make, as the documents are not unique; then there is one that does not ask for it.
    /// - Throws: `.unreachable` when a large collection takes longer than the socket's time-out: the server goes on, and the next call
    ///   waits for the same build.
    public func ensureIndexes(_ indexes: [IndexSpec]) throws(MongoError) -> [RefusedIndex] {
        var refused: [RefusedIndex] = []
        func refuse(_ index: IndexSpec, _ error: MongoError) throws(MongoError) {
            refused.append(RefusedIndex(index: index, error: error))
            // Told once is enough.
            if let permissive = index.permissive { do { try create([permissive], in: index.collection) } catch where error.refusesIndex {} }
        }
        for (collection, indexes) in Dictionary(grouping: indexes, by: \.collection) {
            do {
                try create(indexes, in: collection)
                continue
            } catch where error.refusesIndex {}
            // One of them holds up the others: each by itself.
            let listed = try self.indexes(of: collection)
            for index in indexes where !listed.contains(where: index.isServed) {
                do {
                    try create([index], in: collection)
                } catch where error.code == MongoError.indexNameIsTaken {
                    do { try create([index.renamed], in: collection) } catch where error.refusesIndex { try refuse(index, error) }
                } catch where error.refusesIndex {
                    try refuse(index, error)
                }
            }
        }
        return refused
    }

    private func create(_ indexes: [IndexSpec], in collection: String) throws(MongoError) {
        let documents = indexes.map { BSONValue.document($0.document) }
        _ = try command(["createIndexes": .string(collection), "indexes": .array(documents), "writeConcern": ["w": "majority"]])
    }

    /// Removes those of `indexes` that are there by this name and as they are described; somebody else's stay.
    public func dropIndexes(_ indexes: [IndexSpec]) throws(MongoError) {
        for (collection, indexes) in Dictionary(grouping: indexes, by: \.collection) {
            let listed = try self.indexes(of: collection)
            for index in indexes where listed.contains(where: { $0["name"]?.string == index.name && index.isServed(by: $0) }) {
                _ = try command(["dropIndexes": .string(collection), "index": .string(index.name)])
            }
        }
    }

    /// - Returns: those of `indexes` that nothing serves yet.
    public func missing(of indexes: [IndexSpec]) throws(MongoError) -> [IndexSpec] {
        var missing: [IndexSpec] = []
        for (collection, indexes) in Dictionary(grouping: indexes, by: \.collection) {
            let listed = try self.indexes(of: collection)
            missing += indexes.filter { !listed.contains(where: $0.isServed) }
        }
        return missing
    }

    /// As the server describes them; none of a collection that does not exist.
    private func indexes(of collection: String) throws(MongoError) -> [BSONDocument] {
        do {
            let answer = try command(["listIndexes": .string(collection), "cursor": ["batchSize": 1_000]])
            return answer["cursor"]?.document?["firstBatch"]?.array?.compactMap(\.document) ?? []
        } catch where error.code == MongoError.namespaceNotFound {
            return []
        }
    }

    fileprivate static func throwWriteConcern(_ error: BSONValue) throws(MongoError) {
        let code = error.document?["code"]?.integer ?? 64
        throw MongoError(serverCode: UInt32(clamping: code), text: error.document?["errmsg"]?.string ?? "write concern failed")
    }
}

/// The driver's bulk operation, freed with the scope that made it.
private struct Bulk: ~Copyable {
    private let handle: OpaquePointer

    init(of collection: borrowing Collection) { handle = hs_mongo_bulk(collection.handle) }

    deinit { mongoc_bulk_operation_destroy(handle) }

    private static let plain: BSONDocument = ["validate": false]
    private static let upserting: BSONDocument = ["validate": false, "upsert": true]

    borrowing func append(_ write: MongoWrite) throws(MongoError) {
        switch write {
        case .insert(let document):
            try append(HS_INSERT, nil, document, Bulk.plain)
        case .updateOne(let filter, let update, let upsert):
            Bulk.checkOperators(update)
            try append(HS_UPDATE_ONE, filter, update.bytes, upsert ? Bulk.upserting : Bulk.plain)
        case .updateMany(let filter, let update):
            Bulk.checkOperators(update)
            try append(HS_UPDATE_MANY, filter, update.bytes, Bulk.plain)
        case .replaceOne(let filter, let document, let upsert):
            try append(HS_REPLACE_ONE, filter, document.bytes, upsert ? Bulk.upserting : Bulk.plain)
        case .deleteOne(let filter):
            try append(HS_DELETE_ONE, filter, nil, Bulk.plain)
        case .deleteMany(let filter):
            try append(HS_DELETE_MANY, filter, nil, Bulk.plain)
        }
    }

    /// Unchecked, the server would take an update without operators for a replacement.
    private static func checkOperators(_ update: BSONDocument) {
        var elements = update.elements.makeIterator()
        precondition(elements.next()?.name.first == "$", "an update is made of operators")
    }

    private borrowing func append(
        _ kind: hs_write_kind, _ filter: BSONDocument?, _ document: [UInt8]?, _ options: BSONDocument
    ) throws(MongoError) {
        // The driver would drop its whole batch for one that is too large.
        if let document, document.count > MongoClient.documentBytesMax { throw .documentTooLarge }
        var error = bson_error_t()
        let succeeded = filter.withC { filter in
            (document ?? []).withC { document in
                options.withC { hs_mongo_bulk_append(handle, kind, filter, document, $0, &error) }
            }
        }
        guard succeeded else { throw MongoError(error) }
    }

    borrowing func execute(into outcome: inout BulkOutcome, indexes: [Int]) throws(MongoError) {
        var reply = hs_reply()
        var error = bson_error_t()
        let succeeded = hs_mongo_bulk_execute(handle, &reply, &error)
        try outcome.read(BSONDocument(taking: reply), succeeded ? nil : error, indexes: indexes)
    }
}

extension MongoError {
    /// With the server's code for it, BSONObjectTooLarge.
    fileprivate static let documentTooLarge = MongoError(.rejected, code: 10334, message: "the document is larger than 16 MB")
}

extension BulkOutcome {
    /// Takes in the driver's reply to a bulk or to an insert of many.
    ///
    /// - Parameters:
    ///   - error: what the driver reported; nil when all went well.
    ///   - indexes: of the writes that were sent.
    fileprivate mutating func read(_ reply: BSONDocument, _ error: bson_error_t?, indexes: [Int]) throws(MongoError) {
        func count(_ key: String) -> Int { Int(reply[key]?.integer ?? 0) }
        func index(_ value: BSONValue) -> Int { indexes[Int(value.document?["index"]?.integer ?? 0)] }
        inserted = count("nInserted") + count("insertedCount")
        matched = count("nMatched")
        modified = count("nModified")
        deleted = count("nRemoved")
        upserted = (reply["upserted"]?.array ?? []).map(index)
        guard let error else { return }

        if let first = reply["writeConcernErrors"]?.array?.first { try MongoClient.throwWriteConcern(first) }
        var isExplained = false
        for value in reply["writeErrors"]?.array ?? [] {
            let code = UInt32(clamping: value.document?["code"]?.integer ?? 0)
            let failure = MongoError(serverCode: code, text: value.document?["errmsg"]?.string ?? "")
            // A server that goes down refuses write by write.
            if failure.isTransient { throw failure }
            failures.append(.init(index: index(value), error: failure))
            if code == error.code { isExplained = true }
        }
        failures.sort { $0.index < $1.index }
        // The driver reports the first write error as the call's; any other is of the connection or of a whole command.
        guard isExplained, error.domain == MONGOC_ERROR_SERVER.rawValue else { throw MongoError(error) }
    }
}
