import Bytes
import Model
import Mongo

/// Every document of the mirror, byte for byte: to show that nothing was lost or changed.
struct MirrorState: Equatable {
    private var documents: [String: [UInt8]] = [:]

    init(_ database: MongoDatabase) async throws {
        for type in RecordType.allCases {
            let found = try await database.run { client in
                var found: [(String, [UInt8])] = []
                try client.find(in: type.rawValue) { found.append(("\(type)/\($0["_id"]?.string ?? "")", $0.bytes)) }
                return found
            }
            documents.merge(found) { $1 }
        }
    }

    var count: Int { documents.count }
}
