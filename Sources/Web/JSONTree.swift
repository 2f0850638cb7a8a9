import Bytes

/// A JSON value written as a literal, its members in the order of the source.
indirect enum JSONTree: Sendable {
    case object([(String, JSONTree)])
    case array([JSONTree])
    case text(String)
    case integer(Int)
    case bool(Bool)

    func write(to json: inout JSONWriter) {
        switch self {
        case .object(let members):
            json.object { json in
                for (name, value) in members {
                    json.key(name)
                    value.write(to: &json)
                }
            }
        case .array(let elements): json.array { json in for element in elements { element.write(to: &json) } }
        case .text(let value): json.string(value)
        case .integer(let value): json.integer(value)
        case .bool(let value): json.bool(value)
        }
    }

    /// An object with these members behind its own; anything else as it is.
    func with(_ more: KeyValuePairs<String, JSONTree>) -> JSONTree {
        guard case .object(let members) = self else { return self }
        return .object(members + more.map { ($0.key, $0.value) })
    }
}

extension JSONTree: ExpressibleByDictionaryLiteral, ExpressibleByArrayLiteral, ExpressibleByStringLiteral, ExpressibleByIntegerLiteral,
    ExpressibleByBooleanLiteral
{
    init(dictionaryLiteral elements: (String, JSONTree)...) { self = .object(elements) }
    init(arrayLiteral elements: JSONTree...) { self = .array(elements) }
    init(stringLiteral value: String) { self = .text(value) }
    init(integerLiteral value: Int) { self = .integer(value) }
    init(booleanLiteral value: Bool) { self = .bool(value) }
}
