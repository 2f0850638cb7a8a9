/// A field of a mirror document that is read from one HubSpot property and has a type of its own.
public struct TypedField: Sendable, Hashable {
    public enum Kind: Sendable { case string, number, date }

    /// The field's name in MongoDB and in the API.
    public let name: String
    /// The HubSpot property that it is read from.
    public let property: String
    public let kind: Kind

    init(_ name: String, _ property: String, _ kind: Kind = .string) {
        self.name = name
        self.property = property
        self.kind = kind
    }
}

extension RecordType {
    /// In the order of the contract, section 4.
    public var typedFields: [TypedField] {
        switch self {
        case .contacts: Self.contactFields
        case .companies: Self.companyFields
        case .deals: Self.dealFields
        }
    }

    /// The properties that a document's own fields are read from, `mergedIds` and the version included: asked for even where HubSpot's list
    /// of properties lacks them.
    public var neededProperties: [String] { typedFields.map(\.property) + mergeProperties + [modifiedProperty, "hs_object_id"] }

    /// The properties that name the records that were merged into one.
    public var mergeProperties: [String] {
        switch self {
        case .contacts: ["hs_merged_object_ids", "hs_calculated_merged_vids"]
        case .companies, .deals: ["hs_merged_object_ids"]
        }
    }

    /// The fields that `q` looks into, by prefix.
    public var searchedFields: [String] {
        switch self {
        case .contacts: ["email", "firstName", "lastName"]
        case .companies: ["name", "domain"]
        case .deals: ["dealName"]
        }
    }

    private static let contactFields: [TypedField] = [
        .init("email", "email"), .init("firstName", "firstname"), .init("lastName", "lastname"), .init("phone", "phone"),
        .init("company", "company"), .init("jobTitle", "jobtitle"), .init("lifecycleStage", "lifecyclestage"),
        .init("leadStatus", "hs_lead_status"), .init("ownerId", "hubspot_owner_id"),
    ]
    private static let companyFields: [TypedField] = [
        .init("name", "name"), .init("domain", "domain"), .init("industry", "industry"), .init("phone", "phone"),
        .init("city", "city"), .init("state", "state"), .init("country", "country"),
        .init("numberOfEmployees", "numberofemployees", .number), .init("annualRevenue", "annualrevenue", .number),
        .init("lifecycleStage", "lifecyclestage"), .init("ownerId", "hubspot_owner_id"),
    ]
    private static let dealFields: [TypedField] = [
        .init("dealName", "dealname"), .init("amount", "amount", .number), .init("dealStage", "dealstage"),
        .init("pipeline", "pipeline"), .init("closeDate", "closedate", .date), .init("dealType", "dealtype"),
        .init("ownerId", "hubspot_owner_id"),
    ]
}
