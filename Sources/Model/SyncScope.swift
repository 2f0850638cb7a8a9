/// What a sync covers. Two requests for the same scope share one run.
public struct SyncScope: Sendable, Hashable {
    /// `all` or the name of one type, as it stands in the path.
    public let name: String
    public let types: [RecordType]
    /// The most records to read of each type; nil for all of them.
    public let limit: Int?

    public static let limitMax = 100_000_000

    public static func all(limit: Int? = nil) -> Self { Self(name: "all", types: RecordType.allCases, limit: limit) }

    public static func one(_ type: RecordType, limit: Int? = nil) -> Self {
        Self(name: type.rawValue, types: [type], limit: limit)
    }

    /// - Parameter name: `all`, `contacts`, `companies` or `deals`; anything else is nil.
    public init?(name: String, limit: Int? = nil) {
        if name == "all" {
            self = .all(limit: limit)
        } else if let type = RecordType(rawValue: name) {
            self = .one(type, limit: limit)
        } else {
            return nil
        }
    }

    private init(name: String, types: [RecordType], limit: Int?) {
        self.name = name
        self.types = types
        self.limit = limit
    }
}
