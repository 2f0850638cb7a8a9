/// Something that happened to a record of the mirror: names, never values.
public struct RecordChange: Sendable, Equatable {
    public enum Kind: String, Sendable, CaseIterable {
        case created, updated
        /// Deleted in HubSpot, and back from there.
        case archived, restored
        /// Merged into another record.
        case merged
        /// Gone for good.
        case erased
    }

    public let key: RecordKey
    public let kind: Kind
    /// Names of the HubSpot properties whose values changed, sorted; nil when that is not known. None for a record that came or went.
    public var properties: [String]?
    /// Types of associated records of which there are others now.
    public var associations: [RecordType]
    /// The record that this one was merged into.
    public var mergedInto: String?
    /// The moment after it, to go on from.
    public let position: String

    public init(
        _ key: RecordKey, _ kind: Kind, properties: [String]? = [], associations: [RecordType] = [], mergedInto: String? = nil, position: String
    ) {
        self.key = key
        self.kind = kind
        self.properties = properties
        self.associations = associations
        self.mergedInto = mergedInto
        self.position = position
    }
}
