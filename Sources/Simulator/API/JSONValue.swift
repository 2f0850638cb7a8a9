import Bytes

/// A request body as a tree. Records of answers never take this form.
enum JSONValue: Sendable, Equatable {
    case object([String: JSONValue])
    case array([JSONValue])
    case string(String)
    /// As it was written.
    case number(String)
    case bool(Bool)
    case null

    init(_ bytes: [UInt8]) throws(JSONError) {
        var reader = JSONReader(bytes)
        self = try JSONValue.read(&reader, depth: 0)
        try reader.finish()
    }

    private static func read(_ reader: inout JSONReader, depth: Int) throws(JSONError) -> JSONValue {
        guard depth < 32 else { throw JSONError(.depth, at: reader.position) }
        switch try reader.peek() {
        case .object:
            var members: [String: JSONValue] = [:]
            try reader.enterObject()
            while let key = try reader.nextKey() {
                members[reader.text(key)] = try read(&reader, depth: depth + 1)
            }
            return .object(members)
        case .array:
            var elements: [JSONValue] = []
            try reader.enterArray()
            while try reader.nextElement() { elements.append(try read(&reader, depth: depth + 1)) }
            return .array(elements)
        case .string: return .string(reader.text(try reader.string()))
        case .number:
            let range = try reader.number()
            return .number(String(decoding: reader.bytes[range], as: UTF8.self))
        case .bool: return .bool(try reader.bool())
        case .null:
            try reader.null()
            return .null
        }
    }

    subscript(name: String) -> JSONValue? {
        guard case .object(let members) = self else { return nil }
        return members[name]
    }

    var array: [JSONValue]? {
        guard case .array(let elements) = self else { return nil }
        return elements
    }

    /// A string, or a number or Boolean as it was written.
    var text: String? {
        switch self {
        case .string(let text), .number(let text): text
        case .bool(let value): value ? "true" : "false"
        default: nil
        }
    }

    var integer: Int? { text.flatMap { Int($0) } }
    var double: Double? { text.flatMap { Double($0) } }
    var bool: Bool? { text.flatMap { Bool($0) } }

    /// An object's members as property values; null clears.
    var properties: [String: String]? {
        guard case .object(let members) = self else { return nil }
        return members.mapValues { $0.text ?? "" }
    }
}
