/// A property, a pipeline or an owner of the account, with every field that HubSpot sent.
public struct Definition: Sendable, Equatable {
    /// What records call it by: a property's name, the id of a pipeline or of an owner.
    public let id: String
    public let archived: Bool
    public let createdAt: Timestamp?
    /// A BSON document of HubSpot's fields in its names and order. Instants are dates, and a pipeline's stages have `isClosed` and
    /// `probability` as Bool and number beside HubSpot's texts.
    public let fields: [UInt8]

    public init(id: String, archived: Bool, createdAt: Timestamp?, fields: [UInt8]) {
        self.id = id
        self.archived = archived
        self.createdAt = createdAt
        self.fields = fields
    }
}
