import Bytes
public import Model
public import Mongo

/// The journal of accepted webhook requests: one document a request, durable before HubSpot gets its 200.
///
/// A delivery is worked on by the instance that leased it and stays `pending` until every record that it names is in the mirror:
/// what a dead instance leaves behind is found by its expired lease.
public struct Inbox: Sendable {
    public static let collection = "inbox"

    private let database: MongoDatabase
    private let receiving: MongoDatabase
    private let retention: Duration

    /// - Parameters:
    ///   - receiving: the same database over another connection, for storing deliveries; nil uses `database` for that too.
    ///   - retention: how long a delivery is kept once nothing more is to be done for it.
    public init(database: MongoDatabase, receiving: MongoDatabase? = nil, retention: Duration) {
        self.database = database
        self.receiving = receiving ?? database
        self.retention = retention
    }

    private static let pendingKeys: BSONDocument = ["leaseUntil": 1, "_id": 1]

    // Ascending, although the newest is asked for first: MongoDB reads an index backwards as fast, and splits the page that it appends to
    // in passing. One that grows at its front it writes anew whenever it is full, for 30 ms, in which no delivery is stored.
    public static let indexes = [
        // What is left to do, oldest first; holds unfinished deliveries only.
        IndexSpec(
            collection, "pending", keys: pendingKeys, options: ["partialFilterExpression": ["state": "pending"]]),
        // The history of one record, for the event log and for erasing.
        IndexSpec(collection, "records", keys: ["records": 1, "_id": 1]),
        // The event log of one type.
        IndexSpec(collection, "types", keys: ["types": 1, "_id": 1]),
        // What is pending or failed, however much is done: for the event log and for another try of what was given up.
        IndexSpec(
            collection, "state", keys: ["state": 1, "_id": 1],
            options: ["partialFilterExpression": ["state": ["$gt": .string(Delivery.State.done.rawValue)]]]),
        // Replay of a time range.
        IndexSpec(collection, "receivedAt", keys: ["receivedAt": 1]),
        // The server removes a delivery when its time has come; each says itself when, so that a new retention needs no new index. An
        // unfinished one says nothing and stays, however long HubSpot or the service is away, and without an entry here.
        IndexSpec(
            collection, "expiry", keys: ["expireAt": 1],
            options: ["expireAfterSeconds": 0, "partialFilterExpression": ["expireAt": ["$exists": true]]]),
    ]

    /// What earlier versions made instead: each would cost every delivery as much again.
    static let formerIndexes = [
        IndexSpec(collection, "records", keys: ["records": 1, "_id": -1]),
        IndexSpec(collection, "types", keys: ["types": 1, "_id": -1]),
        IndexSpec(
            collection, "state", keys: ["state": 1, "_id": -1],
            options: ["partialFilterExpression": ["state": ["$gt": .string(Delivery.State.done.rawValue)]]]),
        IndexSpec(collection, "expiry", keys: ["expireAt": 1], options: ["expireAfterSeconds": 0]),
    ]

    // MARK: Receiving

    /// Stores deliveries in one write, majority and journaled.
    ///
    /// - Parameter owner: who works on those with a lease. One without a lease is nobody's, for any instance to take up.
    /// - Throws: `MongoError` when not all of them are known to be durable. One that was stored all the same is worked on when its
    ///   lease ends; HubSpot sends it again too, and repeating is harmless.
    public func append(_ deliveries: [(delivery: Delivery, leaseUntil: Timestamp?)], owner: String) async throws {
        let documents = deliveries.map { delivery, leaseUntil in
            delivery.document(
                owner: leaseUntil == nil ? Inbox.nobody : owner, leaseUntil: leaseUntil ?? Inbox.noLease)
        }
        let outcome = try await receiving.run { try $0.insert(documents, into: Inbox.collection) }
        if let failure = outcome.failures.first { throw failure.error }
    }

    private static let nobody = ""
    private static let noLease = Timestamp(milliseconds: 0)

    // MARK: Working

    /// Leases unfinished deliveries that nobody works on, oldest first.
    ///
    /// - Parameter claim: a text that no other call uses.
    public func claim(_ claim: String, owner: String, limit: Int, now: Timestamp, leaseUntil: Timestamp) async throws -> [Delivery] {
        try await database.run { client in
            let isFree: [(String, BSONValue)] = [("state", "pending"), ("leaseUntil", ["$lt": .date(now.milliseconds)])]
            var ids: [BSONValue] = []
            let query = MongoQuery(
                BSONDocument(isFree), projection: ["_id": 1], sort: Inbox.pendingKeys, limit: limit, hint: Inbox.pendingKeys)
            try client.find(query, in: Inbox.collection) { if let id = $0["_id"] { ids.append(id) } }
            guard !ids.isEmpty else { return [] }
            // Another instance may take some of them in between: the update takes only what is still free.
            _ = try client.updateMany(
                BSONDocument(isFree + [("_id", ["$in": .array(ids)])]),
                update: [
                    "$set": ["owner": .string(owner), "claim": .string(claim), "leaseUntil": .date(leaseUntil.milliseconds)],
                    "$unset": ["expireAt": ""],
                ],
                in: Inbox.collection)
            var claimed: [Delivery] = []
            let mine = MongoQuery(["_id": ["$in": .array(ids)], "claim": .string(claim)], sort: ["_id": 1])
            try client.find(mine, in: Inbox.collection) { claimed.append(Delivery(document: $0)) }
            return claimed
        }
    }

    /// Keeps the leases of those deliveries from ending that this instance works on. Others that bear its name, such as one that was
    /// stored although the write seemed to fail, are free when their lease ends.
    public func renew(_ ids: [String], owner: String, leaseUntil: Timestamp) async throws {
        for start in stride(from: 0, to: ids.count, by: Inbox.renewalMax) {
            let some = BSONValue.strings(ids[start..<min(start + Inbox.renewalMax, ids.count)])
            _ = try await database.run {
                try $0.updateMany(
                    ["_id": ["$in": some], "state": "pending", "owner": .string(owner)],
                    update: ["$set": ["leaseUntil": .date(leaseUntil.milliseconds)]], in: Inbox.collection)
            }
        }
    }

    /// Ids of one renewal: some 400 KB.
    private static let renewalMax = 10_000

    /// Gives this instance's unfinished deliveries back: at a stop, and at a start for what an earlier life left behind.
    public func release(owner: String) async throws {
        _ = try await database.run {
            try $0.updateMany(
                // Every lease is later than that: named so that the index of unfinished deliveries serves, and no finished one is looked at.
                ["state": "pending", "leaseUntil": ["$gte": .date(0)], "owner": .string(owner)],
                update: ["$set": ["leaseUntil": .date(Inbox.noLease.milliseconds)]], in: Inbox.collection)
        }
    }

    /// Notes that these deliveries need nothing more; `failed` names the records that were given up.
    public func finish(_ deliveries: [(id: String, failed: [RecordKey])], at now: Timestamp) async throws {
        let expireAt = BSONValue.date((now + retention).milliseconds)
        var writes = deliveries.filter { !$0.failed.isEmpty }.map { delivery in
            MongoWrite.updateOne(
                ["_id": .string(delivery.id)],
                update: [
                    "$set": [
                        "state": .string(Delivery.State.failed.rawValue), "finishedAt": .date(now.milliseconds),
                        "failed": .strings(delivery.failed.map(\.description)), "expireAt": expireAt,
                    ]
                ])
        }
        let done = deliveries.filter { $0.failed.isEmpty }.map(\.id)
        if !done.isEmpty {
            writes.append(
                .updateMany(
                    ["_id": .anyOf(done)],
                    update: [
                        "$set": [
                            "state": .string(Delivery.State.done.rawValue), "finishedAt": .date(now.milliseconds), "expireAt": expireAt,
                        ]
                    ]))
        }
        let all = writes
        _ = try await database.run { try $0.bulk(all, in: Inbox.collection) }
    }

    // MARK: Repeating

    /// Makes deliveries pending again that match the query's id or span, whatever became of them.
    ///
    /// - Returns: how many.
    public func replay(_ query: Query) async throws -> Int { try await makePending(filter(of: query)) }

    /// Makes deliveries pending again whose records were given up.
    public func replayFailed() async throws -> Int { try await makePending([("state", .string(Delivery.State.failed.rawValue))]) }

    private func makePending(_ filter: [(String, BSONValue)]) async throws -> Int {
        try await database.run {
            try $0.updateMany(
                BSONDocument(filter),
                update: [
                    "$set": [
                        "state": .string(Delivery.State.pending.rawValue), "owner": .string(Inbox.nobody),
                        "leaseUntil": .date(Inbox.noLease.milliseconds), "failed": [], "finishedAt": nil,
                    ],
                    "$unset": ["expireAt": ""],
                ], in: Inbox.collection)
        }
    }

    // MARK: Reading

    /// What the event log is asked for.
    public struct Query: Sendable {
        public var limit = 50
        public var state: Delivery.State?
        public var type: RecordType?
        public var hubspotId: String?
        /// Older than the delivery with this id.
        public var before: String?
        /// Received in this span, the end not included.
        public var since: Timestamp?
        public var until: Timestamp?
        public var id: String?

        public init() {}
    }

    /// Newest first.
    public func deliveries(_ query: Query) async throws -> [Delivery] {
        let find = MongoQuery(BSONDocument(filter(of: query)), sort: ["_id": -1], limit: query.limit)
        return try await database.run { client in
            var found: [Delivery] = []
            try client.find(find, in: Inbox.collection) { found.append(Delivery(document: $0)) }
            return found
        }
    }

    private func filter(of query: Query) -> [(String, BSONValue)] {
        var filter: [(String, BSONValue)] = []
        if let id = query.id { filter.append(("_id", .string(id))) }
        if let before = query.before { filter.append(("_id", ["$lt": .string(before)])) }
        if let state = query.state { filter.append(("state", .string(state.rawValue))) }
        if let id = query.hubspotId {
            let keys = (query.type.map { [$0] } ?? RecordType.allCases).map { RecordKey($0, id).description }
            filter.append(("records", .anyOf(keys)))
        } else if let type = query.type {
            filter.append(("types", .string(type.rawValue)))
        }
        var span: [(String, BSONValue)] = []
        if let since = query.since { span.append(("$gte", .date(since.milliseconds))) }
        if let until = query.until { span.append(("$lt", .date(until.milliseconds))) }
        if !span.isEmpty { filter.append(("receivedAt", .document(BSONDocument(span)))) }
        return filter
    }
}
