import HTTPTypes
import Hummingbird
import Model

extension Request {
    /// The first entry of a header to which each proxy adds: what the client asked the outermost one for.
    func forwarded(_ name: HTTPField.Name) -> String? {
        headers[name]?.split(separator: ",").first?.filter { !$0.isWhitespace }
    }

    /// The parameter's text, decoded; nil when it is missing or empty. Of several, the first counts.
    func text(_ name: String) -> String? {
        guard let value = uri.query?.formField(name), !value.isEmpty else { return nil }
        return value
    }

    func value<Value>(_ name: String, _ expected: String, _ parse: (String) -> Value?) throws(APIError) -> Value? {
        guard let text = text(name) else { return nil }
        guard let value = parse(text) else { throw .badValue(of: name, expected) }
        return value
    }

    func integer(_ name: String, _ range: ClosedRange<Int>) throws(APIError) -> Int? {
        try value(name, "a whole number from \(range.lowerBound) to \(range.upperBound)") { text in
            guard text.utf8.allSatisfy({ $0 >= 48 && $0 <= 57 }), let value = Int(text), range.contains(value) else { return nil }
            return value
        }
    }

    func flag(_ name: String) throws(APIError) -> Bool? {
        try value(name, "true or false") { text in
            switch text.lowercased() {
            case "true", "1", "yes": true
            case "false", "0", "no": false
            default: nil
            }
        }
    }

    func timestamp(_ name: String) throws(APIError) -> Timestamp? {
        try value(name, "an instant such as 2026-11-23T10:00:00Z") { text in
            // A plus that was not encoded has become a space; no instant has one.
            Timestamp(property: String(text.map { $0 == " " ? "+" : $0 }))
        }
    }
}
