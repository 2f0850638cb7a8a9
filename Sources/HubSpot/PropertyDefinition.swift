/// One property of a record type, HubSpot's or the account's own.
public struct PropertyDefinition: Sendable, Codable, Equatable {
    public struct Option: Sendable, Codable, Equatable {
        public let label: String?
        /// What a record holds.
        public let value: String?
        public let hidden: Bool?
    }

    public let name: String
    public let label: String?
    /// `string`, `number`, `bool`, `enumeration`, `date`, `datetime`, …
    public let type: String?
    public let fieldType: String?
    public let groupName: String?
    public let options: [Option]?
    public let calculated: Bool?
    public let externalOptions: Bool?
    public let hasUniqueValue: Bool?
    public let hidden: Bool?
    public let hubspotDefined: Bool?
    public let archived: Bool?
}
