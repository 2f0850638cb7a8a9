public import Bytes
public import Model
import Mongo

extension MirrorReader {
    /// Merges one after the other that are followed. HubSpot merges at most 250 records into one, mostly side by side.
    private static let mergesMax = 32

    /// The record of that id or, when it was merged away, the one that it lives on in, which has another id.
    ///
    /// Only an id that the mirror does not have costs more than `record`.
    public func current(_ type: RecordType, _ id: String) async throws -> BSONDocument? {
        try await database.run { client in
            var id = id
            for _ in 0...MirrorReader.mergesMax {
                if let document = try client.findOne(MongoQuery(["_id": .string(id)]), in: type.rawValue) { return document }
                guard let survivor = try Tombstones.survivor(of: RecordKey(type, id), by: client) else { return nil }
                id = survivor
            }
            return nil
        }
    }

    /// Whether MongoDB answers.
    public func isReachable() async -> Bool {
        // Why it does not makes no difference here.
        (try? await database.run { try $0.command(["ping": 1]) }) != nil
    }
}
