/// What a sync covers. Two requests for the same scope share one run.
public struct SyncScope: Sendable, Hashable {
    public enum Kind: Sendable {
        /// Every record that HubSpot lists, and what became of those that it no longer lists.
        case full
        /// What changed since the last sync, found by search.
        case incremental
        /// What moves no modified date: deletions and associations.
        case reconcile
    }

    /// `all`, the name of one type, `incremental` or `reconcile`, as it stands in the path.
    public let name: String
    public let kind: Kind
    public let types: [RecordType]
    /// The most records to read of each type; nil for all of them.
    public let limit: Int?

    public static let limitMax = 100_000_000

    public static func all(limit: Int? = nil) -> Self { Self(name: "all", types: RecordType.allCases, limit: limit) }

    public static func one(_ type: RecordType, limit: Int? = nil) -> Self {
        Self(name: type.rawValue, types: [type], limit: limit)
    }

    public static let incremental = Self(name: "incremental", kind: .incremental, types: RecordType.allCases, limit: nil)
    public static let reconcile = Self(name: "reconcile", kind: .reconcile, types: RecordType.allCases, limit: nil)

    /// - Parameters:
    ///   - name: `all`, `contacts`, `companies`, `deals`, `incremental` or `reconcile`; anything else is nil.
    ///   - limit: not heeded by an incremental sync, whose watermark would pass over the rest, nor by a reconcile.
    public init?(name: String, limit: Int? = nil) {
        if name == "all" {
            self = .all(limit: limit)
        } else if name == "incremental" {
            self = .incremental
        } else if name == "reconcile" {
            self = .reconcile
        } else if let type = RecordType(rawValue: name) {
            self = .one(type, limit: limit)
        } else {
            return nil
        }
    }

    private init(name: String, kind: Kind = .full, types: [RecordType], limit: Int?) {
        self.name = name
        self.kind = kind
        self.types = types
        self.limit = limit
    }
}
