import Curl
import Foundation

/// `/openapi.json`, and how an answer differs from it.
struct APIDescription: @unchecked Sendable {  // JSON objects that nobody changes
    struct Unreadable: Error {}

    let root: [String: Any]

    init(_ body: [UInt8]) throws {
        guard let root = try JSONSerialization.jsonObject(with: Data(body)) as? [String: Any] else { throw Unreadable() }
        self.root = root
    }

    var paths: [String: [String: [String: Any]]] { root["paths"] as? [String: [String: [String: Any]]] ?? [:] }

    /// `GET /a/{id}` of everything that is described.
    var operations: Set<String> { Set(paths.flatMap { path, methods in methods.keys.map { "\($0.uppercased()) \(path)" } }) }

    /// Every `$ref` of the document.
    var references: Set<String> {
        var found: Set<String> = []
        func look(_ value: Any) {
            if let object = value as? [String: Any] {
                if let reference = object["$ref"] as? String { found.insert(reference) }
                object.values.forEach(look)
            } else if let array = value as? [Any] {
                array.forEach(look)
            }
        }
        look(root)
        return found
    }

    func resolve(_ reference: String) -> [String: Any]? {
        var value: Any? = root
        guard reference.hasPrefix("#/") else { return nil }
        for name in reference.dropFirst(2).split(separator: "/") { value = (value as? [String: Any])?[String(name)] }
        return value as? [String: Any]
    }

    // MARK: Answers

    /// What an answer has that its operation's description does not allow.
    func problems(of reply: Reply, method: String, target: String) -> [String] {
        let path = target.prefix { $0 != "?" }
        guard let operation = operation(method == "HEAD" ? "GET" : method, String(path)) else {
            return reply.status == 200 ? ["not described"] : []
        }
        if method == "HEAD" { return [] }
        let responses = operation["responses"] as? [String: [String: Any]] ?? [:]
        guard var response = responses[String(reply.status)] ?? (reply.status >= 400 ? responses["default"] : nil) else {
            return ["status \(reply.status) is not described"]
        }
        if let reference = response["$ref"] as? String { response = resolve(reference) ?? [:] }
        guard let content = response["content"] as? [String: [String: Any]] else { return reply.body.isEmpty ? [] : ["a body is not described"] }
        let type = reply.headers["Content-Type"].map { String($0.prefix { $0 != ";" }) } ?? "none"
        guard let schema = content[type]?["schema"] as? [String: Any] else { return ["content type \(type) is not described"] }
        guard type == "application/json" else { return [] }
        guard let value = try? JSONSerialization.jsonObject(with: Data(reply.body), options: .fragmentsAllowed) else { return ["no JSON"] }
        return problems(of: value, schema, "")
    }

    private func operation(_ method: String, _ path: String) -> [String: Any]? {
        let segments = path.split(separator: "/")
        let candidates = paths.filter { template, _ in
            let parts = template.split(separator: "/")
            return parts.count == segments.count && zip(parts, segments).allSatisfy { $0.hasPrefix("{") || $0 == $1 }
        }
        // A path in its own words goes before one with a parameter.
        return candidates.min { $0.key.filter { $0 == "{" }.count < $1.key.filter { $0 == "{" }.count }?.value[method.lowercased()]
    }

    // MARK: Schemas

    /// JSON Schema as far as the description uses it. Stricter in one thing: an object has no member that is not described.
    func problems(of value: Any, _ schema: [String: Any], _ place: String) -> [String] {
        if let reference = schema["$ref"] as? String {
            return resolve(reference).map { problems(of: value, $0, place) } ?? ["\(reference) leads nowhere"]
        }
        if let alternatives = schema["anyOf"] as? [[String: Any]] {
            let all = alternatives.map { problems(of: value, $0, place) }
            return all.contains([]) ? [] : all.flatMap { $0 }
        }
        var found: [String] = []
        let kind = kind(value)
        let allowed = (schema["type"] as? [String]) ?? (schema["type"] as? String).map { [$0] }
        if let allowed, !allowed.contains(kind), !(kind == "integer" && allowed.contains("number")) { found.append("\(place) is \(kind)") }
        if let constant = schema["const"] as? NSObject, constant != value as? NSObject { found.append("\(place) is not \(constant)") }
        if let values = schema["enum"] as? [String], let text = value as? String, !values.contains(text) { found.append("\(place) is \(text)") }
        if let minimum = schema["minimum"] as? Double, let number = value as? Double, number < minimum { found.append("\(place) is \(number)") }
        if let maximum = schema["maxItems"] as? Int, let array = value as? [Any], array.count > maximum { found.append("\(place) is too long") }
        if schema["format"] as? String == "date-time", let text = value as? String,
            text.wholeMatch(of: /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/) == nil
        {
            found.append("\(place) is no instant: \(text)")
        }
        if let object = value as? [String: Any], schema["properties"] != nil || schema["additionalProperties"] != nil {
            let known = schema["properties"] as? [String: [String: Any]] ?? [:]
            for name in schema["required"] as? [String] ?? [] where object[name] == nil { found.append("\(place)/\(name) is missing") }
            for (name, member) in object {
                if let schema = known[name] ?? schema["additionalProperties"] as? [String: Any] ?? (schema["additionalProperties"] as? Bool == true ? [:] : nil) {
                    found += problems(of: member, schema, "\(place)/\(name)")
                } else {
                    found.append("\(place)/\(name) is not described")
                }
            }
        }
        if let array = value as? [Any], let items = schema["items"] as? [String: Any] {
            found += array.flatMap { problems(of: $0, items, "\(place)/*") }
        }
        return found
    }

    private func kind(_ value: Any) -> String {
        switch value {
        case is NSNull: "null"
        case is [String: Any]: "object"
        case is [Any]: "array"
        case is String: "string"
        // "c" is what Foundation calls the type of a JSON boolean.
        case let number as NSNumber where String(cString: number.objCType) == "c": "boolean"
        case let number as NSNumber: number.doubleValue == number.doubleValue.rounded() ? "integer" : "number"
        default: "unknown"
        }
    }
}
