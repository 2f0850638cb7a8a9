/// One record as HubSpot sent it, read far enough to be written, compared and served.
public struct Record: Sendable, Equatable {
    public let type: RecordType
    /// HubSpot's id: decimal digits, unique within the type only.
    public let id: String
    public let createdAt: Timestamp
    /// HubSpot's `updatedAt`: the version of the record. The newer one wins.
    public let updatedAt: Timestamp
    public let archived: Bool
    public let archivedAt: Timestamp?
    /// Ids that were merged into this record (`hs_merged_object_ids`), without its own.
    public let mergedIds: [String]
    /// A BSON document of the type's typed fields; a field that HubSpot did not send is null.
    public let fields: [UInt8]
    /// A BSON document of all properties: name to string or null, exactly as HubSpot sent them.
    public let properties: [UInt8]
    /// The ids of associated records, for those types whose whole list came with the record; by their numbers, each once.
    public var associations: [RecordType: [String]]
    /// Types to which the record has more associations than came with it.
    public var truncatedAssociations: Set<RecordType>

    public init(
        type: RecordType, id: String, createdAt: Timestamp, updatedAt: Timestamp, archived: Bool, archivedAt: Timestamp?,
        mergedIds: [String], fields: [UInt8], properties: [UInt8], associations: [RecordType: [String]] = [:],
        truncatedAssociations: Set<RecordType> = []
    ) {
        self.type = type
        self.id = id
        self.createdAt = createdAt
        self.updatedAt = updatedAt
        self.archived = archived
        self.archivedAt = archivedAt
        self.mergedIds = mergedIds
        self.fields = fields
        self.properties = properties
        self.associations = associations
        self.truncatedAssociations = truncatedAssociations
    }
}
