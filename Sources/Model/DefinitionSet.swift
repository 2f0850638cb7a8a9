/// What HubSpot lists as one: the properties or the pipelines of a type, or the account's owners.
public enum DefinitionSet: Sendable, Hashable, CustomStringConvertible {
    case properties(RecordType)
    case pipelines(RecordType)
    case owners

    /// All that are mirrored. Of the three types only deals have pipelines of the account's own.
    public static let all: [DefinitionSet] = RecordType.allCases.map(DefinitionSet.properties) + [.pipelines(.deals), .owners]

    /// The name of our collection, and HubSpot's word for them.
    public var collection: String {
        switch self {
        case .properties: "properties"
        case .pipelines: "pipelines"
        case .owners: "owners"
        }
    }

    /// nil: they belong to records of every type.
    public var type: RecordType? {
        switch self {
        case .properties(let type), .pipelines(let type): type
        case .owners: nil
        }
    }

    /// What the `_id`s of their documents begin with: `contacts:`, and nothing for owners.
    public var idPrefix: String { type.map { "\($0.rawValue):" } ?? "" }

    /// `properties:contacts`, `owners`
    public var description: String { collection + (type.map { ":\($0.rawValue)" } ?? "") }
}
