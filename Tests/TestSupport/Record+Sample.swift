import Bytes
public import Model

extension Record {
    /// A record with sensible values where the test does not care.
    ///
    /// - Parameters:
    ///   - updatedAt: the version, in milliseconds.
    ///   - fields: over nulls for all typed fields.
    ///   - properties: by HubSpot's names.
    public static func sample(
        _ type: RecordType = .contacts, id: String, updatedAt: Int64 = 1_000, archived: Bool = false, mergedIds: [String] = [],
        fields: [String: SampleValue] = [:], properties: [String: String?] = [:]
    ) -> Record {
        var typed = BSONWriter()
        for field in type.typedFields {
            switch fields[field.name] {
            case nil: typed.appendNull(field.name)
            case .text(let value)?: typed.append(field.name, value)
            case .number(let value)?: typed.append(field.name, value)
            case .date(let value)?: typed.append(field.name, date: value)
            }
        }
        var all = BSONWriter()
        for (name, value) in properties.sorted(by: { $0.key < $1.key }) { all.append(name, value) }
        return Record(
            type: type, id: id, createdAt: Timestamp(milliseconds: 500), updatedAt: Timestamp(milliseconds: updatedAt), archived: archived,
            archivedAt: archived ? Timestamp(milliseconds: updatedAt) : nil, mergedIds: mergedIds, fields: typed.finish(),
            properties: all.finish())
    }

    /// The value of a typed field.
    public enum SampleValue: Sendable, ExpressibleByStringLiteral, ExpressibleByFloatLiteral {
        case text(String)
        case number(Double)
        case date(Int64)

        public init(stringLiteral value: String) { self = .text(value) }
        public init(floatLiteral value: Double) { self = .number(value) }
    }
}
