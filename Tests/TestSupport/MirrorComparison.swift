import Bytes
import Curl
import Foundation
public import Model
public import Mongo

/// Holds a whole mirror against the simulated account that it mirrors: every record, every property, typed fields, instants, states.
///
/// Both sides are read in pages and compared as bytes, so that a hundred thousand records take seconds and little memory.
public struct MirrorComparison: Sendable {
    private static let pageSize = 500
    private static let differencesMax = 20

    private let absentIsNull: Bool
    private let withAssociations: Bool
    public private(set) var records = 0
    public private(set) var properties = 0
    /// The first of them, each naming record and field.
    public private(set) var differences: [String] = []
    public private(set) var differenceCount = 0

    public var isEqual: Bool { differenceCount == 0 }

    public struct Failure: Error, CustomStringConvertible {
        public let description: String
    }

    /// - Parameters:
    ///   - absentIsNull: a property that the mirror does not have stands for one without a value, as in HubSpot's answers (platform page,
    ///     section 5.1). After a full sync none is absent.
    ///   - withAssociations: false where no sync ran since a record was deleted: no event tells its partners of that.
    ///   - simulatorURL: of a simulator with control endpoints.
    public init(
        _ types: [RecordType] = RecordType.allCases, absentIsNull: Bool = false, withAssociations: Bool = true, simulatorURL: String, database: MongoDatabase
    ) async throws {
        let driver = CurlDriver()
        let result: Result<Self, any Error>
        do {
            result = .success(
                try await Self(types, absentIsNull: absentIsNull, withAssociations: withAssociations, database: database) { path in
                    try await MirrorComparison.get(simulatorURL + path, driver)
                })
        } catch {
            result = .failure(error)
        }
        await driver.shutDown()
        self = try result.get()
    }

    /// - Parameter get: answers a call of the simulator's control endpoints.
    public init(
        _ types: [RecordType] = RecordType.allCases, absentIsNull: Bool = false, withAssociations: Bool = true, database: MongoDatabase,
        from get: (_ path: String) async throws -> [UInt8]
    ) async throws {
        self.absentIsNull = absentIsNull
        self.withAssociations = withAssociations
        for type in types { try await compare(type, get, database) }
    }

    private mutating func differ(_ text: String) {
        differenceCount += 1
        if differences.count < MirrorComparison.differencesMax { differences.append(text) }
    }

    // MARK: A type

    private mutating func compare(_ type: RecordType, _ get: (String) async throws -> [UInt8], _ database: MongoDatabase) async throws {
        var typeComparison = RecordComparison(type, absentIsNull: absentIsNull, withAssociations: withAssociations)
        var known: Set<String> = []
        var after: String? = "0"
        while let from = after {
            let page = try await get("/_simulator/records/\(type.rawValue)?after=\(from)&limit=\(MirrorComparison.pageSize)")
            let (truths, next) = try page.withUnsafeBufferPointer { try RecordComparison.index($0) }
            let ids = truths.map(\.id)
            let documents = try await database.run { client in
                var documents: [String: BSONDocument] = [:]
                let query = MongoQuery(["_id": ["$in": .strings(ids)]], batchSize: MirrorComparison.pageSize, maxTime: .seconds(60))
                try client.find(query, in: type.rawValue) { document in
                    if let id = document["_id"]?.string { documents[id] = document }
                }
                return documents
            }
            for truth in truths {
                guard let document = documents[truth.id] else {
                    // What was in the recycle bin before the first sync need never be known.
                    if !truth.archived { differ("\(type) \(truth.id): not in the mirror") }
                    continue
                }
                known.insert(truth.id)
                records += 1
                try page.withUnsafeBufferPointer { page in
                    try document.bytes.withUnsafeBufferPointer { document in
                        properties += try typeComparison.compare(truth, page, document) { differ("\(type) \(truth.id): \($0)") }
                    }
                }
            }
            after = next
        }
        let stored = try await database.run { try $0.count(in: type.rawValue) }
        if stored != known.count { try await nameExtras(type, known, get, database) }
    }

    /// Documents without a record of their own are right only for ids that were merged away, and then archived.
    private mutating func nameExtras(
        _ type: RecordType, _ known: Set<String>, _ get: (String) async throws -> [UInt8], _ database: MongoDatabase
    ) async throws {
        let gone = try await get("/_simulator/gone/\(type.rawValue)")
        let merged = (try JSONSerialization.jsonObject(with: Data(gone)) as? [String: Any] ?? [:]).filter { $0.value is String }
        let extras = try await database.run { client in
            var extras: [(id: String, archived: Bool)] = []
            try client.find(MongoQuery(projection: ["archived": 1], maxTime: .seconds(60)), in: type.rawValue) { document in
                let id = document["_id"]?.string ?? "without a text id"
                if !known.contains(id) { extras.append((id, document["archived"]?.bool ?? false)) }
            }
            return extras
        }
        for extra in extras where !extra.archived || merged[extra.id] == nil {
            differ("\(type) \(extra.id): in the mirror but not in HubSpot")
        }
    }

    private static func get(_ url: String, _ driver: CurlDriver) async throws -> [UInt8] {
        let response = try await driver.send(CurlRequest(url: url, timeout: .seconds(120), bodyBytesMax: 512 << 20))
        guard response.status == 200 else { throw Failure(description: "the simulator answered \(response.status) to \(url)") }
        return response.body
    }
}
