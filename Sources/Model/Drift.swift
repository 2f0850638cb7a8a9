/// One way in which a record of the mirror is not what HubSpot has. Says where, never what.
public struct Drift: Sendable, Equatable {
    public enum Kind: String, Sendable, CaseIterable, Comparable {
        /// HubSpot has the record, live, and the mirror has no document of it.
        case missingInMirror
        /// The mirror has the record as live, and HubSpot has it neither as live nor in its recycle bin.
        case missingInHubSpot
        /// One has it as deleted, the other as live.
        case archived
        /// The mirror's version (`updatedAt`) is before HubSpot's.
        case older
        /// The mirror's version is after HubSpot's.
        case newer
        /// Properties with other values. A missing one is the same as an empty one, as HubSpot has it.
        case properties
        /// Fields that are made from properties or belong to the record itself.
        case fields
        /// Ids of associated records; the names are those of the types.
        case associations

        public static func < (a: Self, b: Self) -> Bool { a.rawValue < b.rawValue }
    }

    public let key: RecordKey
    public let kind: Kind
    /// Of properties, fields or types.
    public let names: [String]

    public init(key: RecordKey, kind: Kind, names: [String] = []) {
        self.key = key
        self.kind = kind
        self.names = names
    }
}
