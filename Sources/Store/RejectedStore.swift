import Bytes
public import Model
public import Mongo

/// The latest webhook requests whose signature was refused, for `doctor`. Few, small, and gone after a day.
public struct RejectedStore: Sendable {
    public static let collection = "rejected"
    /// Those that are kept.
    public static let max = 10
    private static let lifetime: Duration = .seconds(86_400)

    static let indexes = [IndexSpec(collection, "expiry", keys: ["expireAt": 1], options: ["expireAfterSeconds": 0])]

    private let database: MongoDatabase

    public init(database: MongoDatabase) { self.database = database }

    /// Keeps a refusal, and drops those that are more than `max`.
    public func add(_ rejected: RejectedDelivery) async throws {
        let document = rejected.document(expireAt: rejected.receivedAt + RejectedStore.lifetime)
        try await database.run { client in
            _ = try client.insert([document], into: RejectedStore.collection)
            var ids: [BSONValue] = []
            let query = MongoQuery(projection: ["_id": 1], sort: ["_id": -1], limit: RejectedStore.max)
            try client.find(query, in: RejectedStore.collection) { if let id = $0["_id"] { ids.append(id) } }
            if ids.count == RejectedStore.max, let oldest = ids.last {
                try client.deleteMany(["_id": ["$lt": oldest]], in: RejectedStore.collection)
            }
        }
    }

    /// Newest first, none older than a day.
    public func latest(now: Timestamp) async throws -> [RejectedDelivery] {
        // The server removes what has expired a minute later.
        let query = MongoQuery(["expireAt": ["$gt": .date(now.milliseconds)]], sort: ["_id": -1], limit: RejectedStore.max)
        return try await database.run { client in
            var found: [RejectedDelivery] = []
            try client.find(query, in: RejectedStore.collection) { found.append(RejectedDelivery(document: $0)) }
            return found
        }
    }
}

extension RejectedDelivery {
    fileprivate func document(expireAt: Timestamp) -> [UInt8] {
        let matches = matches.map { matches in
            BSONValue.array(
                matches.map { ["version": .string($0.version), "url": $0.url.map(BSONValue.string) ?? .null, "secret": .int64(Int64($0.secret))] })
        }
        let document: BSONDocument = [
            "_id": .string(id), "receivedAt": .date(receivedAt.milliseconds), "expireAt": .date(expireAt.milliseconds),
            "reason": .string(reason), "method": .string(method), "url": .string(url), "host": host.map(BSONValue.string) ?? .null,
            "forwardedHost": forwardedHost.map(BSONValue.string) ?? .null, "forwardedProto": forwardedProto.map(BSONValue.string) ?? .null,
            "versions": .strings(versions), "ageMs": ageMs.map(BSONValue.int64) ?? .null, "bodyBytes": .int64(Int64(bodyBytes)),
            "bodyHash": .string(bodyHash), "matches": matches ?? .null,
        ]
        return document.bytes
    }

    fileprivate init(document: BSONDocument) {
        func text(_ name: String) -> String? { document[name]?.string }
        self.init(
            id: text("_id") ?? "", receivedAt: Timestamp(milliseconds: document["receivedAt"]?.milliseconds ?? 0),
            reason: text("reason") ?? "", method: text("method") ?? "", url: text("url") ?? "", host: text("host"),
            forwardedHost: text("forwardedHost"), forwardedProto: text("forwardedProto"),
            versions: document["versions"]?.array?.compactMap(\.string) ?? [], ageMs: document["ageMs"]?.integer,
            bodyBytes: Int(document["bodyBytes"]?.integer ?? 0), bodyHash: text("bodyHash") ?? "",
            matches: document["matches"]?.array?.compactMap(\.document).map {
                Match(version: $0["version"]?.string ?? "", url: $0["url"]?.string, secret: Int($0["secret"]?.integer ?? 0))
            })
    }
}
