/// A value for queries, commands and small documents, where convenience matters more than copies.
///
/// Records never become values: they stay bytes from HubSpot's JSON to MongoDB and from MongoDB to our JSON.
public enum BSONValue: Sendable, Equatable {
    case string(String)
    case double(Double)
    case int32(Int32)
    case int64(Int64)
    case bool(Bool)
    /// Milliseconds since 1970-01-01T00:00:00Z.
    case date(Int64)
    /// MongoDB's own clock: seconds since 1970-01-01T00:00:00Z above 32 bits of a count.
    case timestamp(UInt64)
    case null
    case regex(String, options: String)
    case binary([UInt8])
    case document(BSONDocument)
    case array([BSONValue])

    public static func strings(_ values: some Sequence<String>) -> BSONValue { .array(values.map(BSONValue.string)) }

    public var string: String? { if case .string(let value) = self { value } else { nil } }
    public var bool: Bool? { if case .bool(let value) = self { value } else { nil } }
    public var document: BSONDocument? { if case .document(let value) = self { value } else { nil } }
    public var array: [BSONValue]? { if case .array(let value) = self { value } else { nil } }
    public var milliseconds: Int64? { if case .date(let value) = self { value } else { nil } }

    /// An integer of either width, or a double without a fraction.
    public var integer: Int64? {
        switch self {
        case .int32(let value): Int64(value)
        case .int64(let value): value
        case .double(let value): Int64(exactly: value)
        default: nil
        }
    }

    public var double: Double? {
        switch self {
        case .int32(let value): Double(value)
        case .int64(let value): Double(value)
        case .double(let value): value
        default: nil
        }
    }
}

extension BSONValue: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByFloatLiteral, ExpressibleByBooleanLiteral,
    ExpressibleByNilLiteral, ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
    public init(stringLiteral value: String) { self = .string(value) }
    /// 32 bits when the number fits, as `mongosh` would send a small one.
    public init(integerLiteral value: Int64) { self = Int32(exactly: value).map(BSONValue.int32) ?? .int64(value) }
    public init(floatLiteral value: Double) { self = .double(value) }
    public init(booleanLiteral value: Bool) { self = .bool(value) }
    public init(nilLiteral: ()) { self = .null }
    public init(arrayLiteral elements: BSONValue...) { self = .array(elements) }
    public init(dictionaryLiteral elements: (String, BSONValue)...) { self = .document(BSONDocument(elements)) }
}
