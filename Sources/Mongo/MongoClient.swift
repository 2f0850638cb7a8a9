public import Bytes
internal import CMongo

/// A client lent to one thread for one call. Not copyable and handed out by `borrowing`, so it cannot be kept.
///
/// Every method blocks until the server has answered. Reads see what a majority holds; writes are acknowledged by a majority's journals.
public struct MongoClient: ~Copyable {
    let handle: OpaquePointer
    public let database: String
    private let connection: MongoConnection
    let calls: any MongoCalls

    init(of connection: MongoConnection, database: String, calls: any MongoCalls) {
        self.connection = connection
        self.calls = calls
        self.database = database
        handle = mongoc_client_pool_pop(connection.handle)  // never waits: one client per thread
    }

    deinit { mongoc_client_pool_push(connection.handle, handle) }

    /// Lets `body` send a command, and notes how long the answer took, also one that is an error. Not for calls that wait by design.
    func timed<R, E>(_ kind: CallTimers.Kind, _ body: () throws(E) -> R) throws(E) -> R {
        let start = ContinuousClock.now
        defer { connection.timers.record(kind, .now - start) }
        return try body()
    }

    /// Runs a command and gives the server's reply.
    ///
    /// - Parameter database: nil is the client's own.
    public func command(_ command: BSONDocument, on database: String? = nil) throws(MongoError) -> BSONDocument {
        var reply = hs_reply()
        var error = bson_error_t()
        try calls.willSend()
        let succeeded = timed(.command) { command.withC { hs_mongo_command(handle, database ?? self.database, $0, &reply, &error) } }
        let document = BSONDocument(taking: reply)
        guard succeeded else { throw MongoError(error) }
        try calls.didSend()
        return document
    }

    // MARK: Reading

    /// Gives every document found to `each`, in order. An error of `each` ends the walk.
    public func find(_ query: MongoQuery = MongoQuery(), in collection: String, _ each: (BSONDocument) throws -> Void) throws {
        let collection = Collection(collection, of: self)
        try calls.willSend()
        let cursor = Cursor(query.filter.withC { filter in query.options.withC { hs_mongo_find(collection.handle, filter, $0) } })
        try timed(.find) { try cursor.walk(each) }
        try calls.didSend()
    }

    public func findOne(_ query: MongoQuery, in collection: String) throws(MongoError) -> BSONDocument? {
        var query = query
        query.limit = 1
        var found: BSONDocument?
        do { try find(query, in: collection) { found = $0 } } catch { throw error as! MongoError }  // the closure throws nothing
        return found
    }

    /// Every document that the stages yield. `query` gives the hint, the collation and the limit of time; its filter is not used.
    public func aggregate(
        _ stages: [BSONDocument], in collection: String, like query: MongoQuery = MongoQuery(),
        _ each: (BSONDocument) throws -> Void
    ) throws {
        let collection = Collection(collection, of: self)
        let pipeline: BSONDocument = ["pipeline": .array(stages.map(BSONValue.document))]
        try calls.willSend()
        let cursor = Cursor(
            pipeline.withC { pipeline in query.aggregateOptions.withC { hs_mongo_aggregate(collection.handle, pipeline, $0) } })
        try timed(.aggregate) { try cursor.walk(each) }
        try calls.didSend()
    }

    /// How many documents the filter finds: exact, also on a sharded cluster.
    public func count(_ query: MongoQuery = MongoQuery(), in collection: String) throws(MongoError) -> Int {
        var count = 0
        do {
            try aggregate(query.countPipeline, in: collection, like: query) { count = Int($0["n"]?.integer ?? 0) }
        } catch {
            throw error as! MongoError  // the closure throws nothing
        }
        return count
    }

    /// How the server runs `find` or, with `counting`, `count`, by its own account after running it.
    public func explain(_ query: MongoQuery, in collection: String, counting: Bool = false) throws(MongoError) -> BSONDocument {
        var explained: [(String, BSONValue)]
        if counting {
            explained = [
                ("aggregate", .string(collection)), ("pipeline", .array(query.countPipeline.map(BSONValue.document))), ("cursor", [:]),
            ]
            explained += query.aggregateOptions.elements.map { ($0.name, $0.value) }
        } else {
            explained = [("find", .string(collection)), ("filter", .document(query.filter))]
            explained += query.options.elements.map { ($0.name, $0.value) }
        }
        return try command(["explain": .document(BSONDocument(explained)), "verbosity": "executionStats"])
    }
}

/// A collection's handle, freed with the scope that made it.
struct Collection: ~Copyable {
    let handle: OpaquePointer

    init(_ name: String, of client: borrowing MongoClient) {
        handle = mongoc_client_get_collection(client.handle, client.database, name)
    }

    deinit { mongoc_collection_destroy(handle) }
}

/// A cursor's handle; destroying it ends the cursor on the server too.
private struct Cursor: ~Copyable {
    let handle: OpaquePointer

    init(_ handle: OpaquePointer) { self.handle = handle }

    deinit { mongoc_cursor_destroy(handle) }

    borrowing func walk(_ each: (BSONDocument) throws -> Void) throws {
        var document = hs_document()
        while hs_mongo_cursor_next(handle, &document) {
            try each(BSONDocument(bytes: Array(UnsafeBufferPointer(start: document.data, count: document.length))))
        }
        var error = bson_error_t()
        if mongoc_cursor_error(handle, &error) { throw MongoError(error) }
    }
}
