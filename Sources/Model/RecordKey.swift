/// Which record: its type and HubSpot's id, which is unique within the type only.
public struct RecordKey: Sendable, Hashable, Comparable, CustomStringConvertible {
    public let type: RecordType
    public let id: String

    public init(_ type: RecordType, _ id: String) {
        self.type = type
        self.id = id
    }

    /// `contacts:151`
    public var description: String { type.keyPrefix + id }

    /// Reads what `description` prints.
    public init?(_ description: String) {
        guard let colon = description.firstIndex(of: ":"), let type = RecordType(rawValue: String(description[..<colon])) else { return nil }
        self.init(type, String(description[description.index(after: colon)...]))
    }

    public static func < (a: Self, b: Self) -> Bool { a.type == b.type ? a.id < b.id : a.type < b.type }
}
