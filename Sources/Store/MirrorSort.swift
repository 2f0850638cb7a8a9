public import Model

/// An order of records: a field, then the id.
public struct MirrorSort: Sendable, Hashable {
    /// The field's name in the API.
    public let name: String
    public let isDescending: Bool
    /// The field's name in MongoDB.
    let path: String
    /// Whether every document holds a date there, since only our writer writes it.
    let isOurs: Bool
    /// Whether case and accents make no difference.
    let isText: Bool

    /// Newest change first.
    public static let newestFirst = MirrorSort(
        name: "updatedAt", isDescending: true, path: "hubspotUpdatedAt", isOurs: true, isText: false)

    private init(name: String, isDescending: Bool, path: String, isOurs: Bool, isText: Bool) {
        self.name = name
        self.isDescending = isDescending
        self.path = path
        self.isOurs = isOurs
        self.isText = isText
    }

    /// Reads a field of the API, descending with a `-` before it; nil when the type has no such field to sort by.
    public init?(_ text: String, of type: RecordType) {
        let isDescending = text.hasPrefix("-")
        let name = String(isDescending ? text.dropFirst() : text[...])
        let ours = [
            "updatedAt": "hubspotUpdatedAt", "createdAt": "hubspotCreatedAt", "lastSyncedAt": "lastSyncedAt", "hubspotId": "_id",
        ]
        if let path = ours[name] {
            self.init(name: name, isDescending: isDescending, path: path, isOurs: true, isText: false)
        } else if let field = type.typedFields.first(where: { $0.name == name }) {
            self.init(name: name, isDescending: isDescending, path: name, isOurs: false, isText: field.kind == .string)
        } else {
            return nil
        }
    }

    /// As `init(_:of:)` reads it.
    public var text: String { (isDescending ? "-" : "") + name }
}
