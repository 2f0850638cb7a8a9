/// One request as it arrived.
struct Call: Sendable {
    var method: String
    /// Path and query as they stand in the request line.
    var target: String
    var headers: [(name: String, value: String)] = []
    var body: [UInt8] = []
    /// When the head arrived, on a clock that only goes forward, in nanoseconds.
    var arrival: Int64 = 0

    var authorization: String? { header("authorization") }
    var host: String { header("host") ?? "api.hubapi.com" }

    /// - Parameter name: in lower case.
    func header(_ name: String) -> String? { headers.first { $0.name.lowercased() == name }?.value }

    var path: Substring { target.prefix { $0 != "?" } }

    /// The path's parts, escapes resolved.
    var segments: [String] { path.split(separator: "/").map { Call.unescaped($0, plusIsSpace: false) } }

    /// Values of one query parameter in order.
    func query(_ name: String) -> [String] {
        guard let start = target.firstIndex(of: "?") else { return [] }
        return target[target.index(after: start)...].split(separator: "&").compactMap { pair in
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard Call.unescaped(parts[0], plusIsSpace: true) == name else { return nil }
            return parts.count > 1 ? Call.unescaped(parts[1], plusIsSpace: true) : ""
        }
    }

    /// A parameter that may be repeated or hold several names with commas; nil when absent.
    func list(_ name: String) -> [String]? {
        let values = query(name)
        return values.isEmpty ? nil : values.flatMap { $0.split(separator: ",").map { $0.trimming(" ") } }
    }

    private static func unescaped(_ text: Substring, plusIsSpace: Bool) -> String {
        guard text.utf8.contains(UInt8(ascii: "%")) || (plusIsSpace && text.utf8.contains(UInt8(ascii: "+"))) else {
            return String(text)
        }
        var bytes: [UInt8] = []
        let source = Array(text.utf8)
        var index = 0
        while index < source.count {
            if source[index] == UInt8(ascii: "%"), index + 2 < source.count,
                let value = UInt8(String(decoding: source[index + 1...index + 2], as: UTF8.self), radix: 16)
            {
                bytes.append(value)
                index += 3
            } else {
                bytes.append(plusIsSpace && source[index] == UInt8(ascii: "+") ? 0x20 : source[index])
                index += 1
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}

extension StringProtocol {
    fileprivate func trimming(_ character: Character) -> String {
        var text = self[...]
        while text.first == character { text = text.dropFirst() }
        while text.last == character { text = text.dropLast() }
        return String(text)
    }
}
