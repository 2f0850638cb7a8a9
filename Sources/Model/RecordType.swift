/// A HubSpot object type that is mirrored. The raw value is HubSpot's plural name and the name of our collection.
public enum RecordType: String, Sendable, CaseIterable, Codable, Hashable, Comparable {
    case contacts, companies, deals

    /// HubSpot's type id, as generic webhook events name it.
    public var objectTypeId: String {
        switch self {
        case .contacts: "0-1"
        case .companies: "0-2"
        case .deals: "0-3"
        }
    }

    /// HubSpot's singular name, as classic webhook events (`contact.creation`) name it.
    public var singular: String {
        switch self {
        case .contacts: "contact"
        case .companies: "company"
        case .deals: "deal"
        }
    }

    /// What the description of a record's key begins with.
    public var keyPrefix: String {
        switch self {
        case .contacts: "contacts:"
        case .companies: "companies:"
        case .deals: "deals:"
        }
    }

    /// The property that a search for changed records filters and sorts by. The wrong one finds nothing, without an error.
    ///
    /// - Source: platform page, section 5.6.
    public var modifiedProperty: String {
        self == .contacts ? "lastmodifieddate" : "hs_lastmodifieddate"
    }

    // Every record's key is compared and hashed by its type too. Those of a type with raw texts would look at the texts.

    public static func == (a: Self, b: Self) -> Bool { a.place == b.place }

    public func hash(into hasher: inout Hasher) { hasher.combine(place) }

    /// As the names sort.
    public static func < (a: Self, b: Self) -> Bool { a.place < b.place }

    private var place: UInt8 {
        switch self {
        case .companies: 0
        case .contacts: 1
        case .deals: 2
        }
    }
}
