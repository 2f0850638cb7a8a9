public import Bytes
internal import CMongo

/// What happened in a database since some moment.
public struct ChangeBatch: Sendable {
    /// As MongoDB's change streams describe them, in order.
    public let events: [BSONDocument]
    /// Names the moment after the last of them, for the next call: `_data` of MongoDB's resume token, in hexadecimal. Tokens sort as the
    /// moments do.
    public let token: String
}

extension MongoClient {
    /// What happened after `token`, at most `limit` events; if nothing did, what happens first within `wait`.
    ///
    /// No cursor stays open between calls, so that nothing is held while nobody asks: opening one at a token is a seek in the oplog.
    ///
    /// - Parameters:
    ///   - token: nil for now, which answers at once without an event.
    ///   - stages: what of the events to pass on; they must keep `_id`.
    /// - Throws: `.rejected` for a token whose moment the oplog no longer holds, and for one that MongoDB did not make; `.unsupported` or
    ///   `.rejected` when the server is no member of a replica set.
    public func changes(after token: String?, _ stages: [BSONDocument], limit: Int, wait: Duration) throws(MongoError) -> ChangeBatch {
        // The server lets only the session that opened a cursor go on with it.
        let session = try Session(of: self)
        var stream: [(String, BSONValue)] = []
        if let token {
            stream.append(("resumeAfter", ["_data": .string(token)]))
        } else if case .timestamp(let committed)? = try session.run(["hello": 1])["lastWrite"]?.document?["majorityOpTime"]?.document?["ts"] {
            // Not after the last operation, as the server would: what no majority has yet is not to be read and must not be missed either.
            stream.append(("startAtOperationTime", .timestamp(committed + 1)))
        }
        let opened = try session.run([
            "aggregate": 1, "pipeline": .array(([["$changeStream": .document(BSONDocument(stream))]] + stages).map(BSONValue.document)),
            "cursor": ["batchSize": .int32(token == nil ? 0 : Int32(limit))], "maxTimeMS": .int64(MongoQuery.defaultMaxTime.wholeMilliseconds),
        ])
        var cursor = opened["cursor"]?.document
        let id = cursor?["id"]?.integer ?? 0
        defer {
            if id != 0 {
                // It would end by itself after ten minutes.
                _ = try? session.run(["killCursors": "$cmd.aggregate", "cursors": [.int64(id)]])
            }
        }
        var events = cursor?["firstBatch"]?.array ?? []
        if events.isEmpty, token != nil, id != 0, wait > .zero {
            let more = try session.run([
                "getMore": .int64(id), "collection": "$cmd.aggregate", "batchSize": .int32(Int32(limit)), "maxTimeMS": .int64(wait.wholeMilliseconds),
            ])
            cursor = more["cursor"]?.document
            events = cursor?["nextBatch"]?.array ?? []
        }
        guard let end = cursor?["postBatchResumeToken"]?.document?["_data"]?.string else {
            throw MongoError(.unsupported, message: "the server gives no resume token")
        }
        return ChangeBatch(events: events.compactMap(\.document), token: end)
    }
}

/// A session of the driver's, given back with the scope that began it.
private struct Session: ~Copyable {
    private let handle: OpaquePointer
    private let client: OpaquePointer
    private let database: String

    init(of client: borrowing MongoClient) throws(MongoError) {
        var error = bson_error_t()
        guard let session = hs_mongo_session(client.handle, &error) else { throw MongoError(error) }
        handle = session
        self.client = client.handle
        database = client.database
    }

    deinit { mongoc_client_session_destroy(handle) }

    borrowing func run(_ command: BSONDocument) throws(MongoError) -> BSONDocument {
        var reply = hs_reply()
        var error = bson_error_t()
        let succeeded = command.withC { hs_mongo_session_command(client, handle, database, $0, &reply, &error) }
        let document = BSONDocument(taking: reply)
        guard succeeded else { throw MongoError(error) }
        return document
    }
}
