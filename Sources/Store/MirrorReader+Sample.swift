public import Bytes
public import Model
import Mongo

extension MirrorReader {
    /// Ids of one page of a walk.
    static let walkedMax = 10_000
    /// `$sample` draws with a random cursor only for less than this part of a collection; beyond it, it would read every document.
    static let sampledPart = 20

    /// Documents of these records; of those that the mirror has.
    public func documents(of ids: [String], _ type: RecordType) async throws -> [String: BSONDocument] {
        try await database.run { client in
            var documents: [String: BSONDocument] = [:]
            try client.find(MongoQuery(["_id": .anyOf(ids)], batchSize: ids.count + 1), in: type.rawValue) { document in
                if let id = document["_id"]?.string { documents[id] = document }
            }
            return documents
        }
    }

    /// Those of `ids` that the mirror has, archived or not; read from the index alone.
    public func known(_ ids: [String], of type: RecordType) async throws -> Set<String> {
        try await database.run { client in
            var known: Set<String> = []
            try client.find(MongoQuery(["_id": .anyOf(ids)], projection: ["_id": 1]), in: type.rawValue) { document in
                if let id = document["_id"]?.string { known.insert(id) }
            }
            return known
        }
    }

    /// The next ids in MongoDB's order, archived records included; empty at the end.
    public func ids(of type: RecordType, after id: String, limit: Int) async throws -> [String] {
        try await database.run { client in
            var ids: [String] = []
            let query = MongoQuery(["_id": ["$gt": .string(id)]], projection: ["_id": 1], sort: ["_id": 1], limit: limit, hint: ["_id": 1])
            try client.find(query, in: type.rawValue) { if let id = $0["_id"]?.string { ids.append(id) } }
            return ids
        }
    }

    /// Random ids, archived records included, each once.
    ///
    /// - Parameter count: fewer come from a smaller mirror, and now and then one less since `$sample` may draw one twice.
    public func sample(of type: RecordType, count: Int) async throws -> Set<String> {
        let total = try await database.run { try $0.count(in: type.rawValue) }
        if total > count * MirrorReader.sampledPart {
            return try await database.run { client in
                var ids: Set<String> = []
                try client.aggregate(
                    [["$sample": ["size": .int64(Int64(count))]], ["$project": ["_id": 1]]], in: type.rawValue
                ) { if let id = $0["_id"]?.string { ids.insert(id) } }
                return ids
            }
        }
        // Each of all ids has the same chance to stay in the reservoir.
        var reservoir: [String] = []
        var seen = 0
        var last = ""
        while true {
            let page = try await ids(of: type, after: last, limit: MirrorReader.walkedMax)
            guard let end = page.last else { return Set(reservoir) }
            for id in page {
                seen += 1
                if reservoir.count < count {
                    reservoir.append(id)
                } else {
                    let place = Int.random(in: 0..<seen)
                    if place < count { reservoir[place] = id }
                }
            }
            last = end
        }
    }
}
