import Foundation

/// Secrets that a test gave out, looked for in whatever came back: as they stand, in either case, reversed, hexadecimal, percent-encoded and
/// in base64, wherever they begin there.
struct Markers {
    private let forms: [(name: String, form: [UInt8])]

    /// - Parameter secrets: by the name that a failure tells; 12 bytes or more, so that chance does not find one.
    init(_ secrets: [String: String]) {
        forms = secrets.sorted { $0.key < $1.key }.flatMap { name, secret in
            Markers.forms(of: Array(secret.utf8)).map { ("\(name), \($0)", $1) }
        }
    }

    private static func forms(of secret: [UInt8]) -> [(String, [UInt8])] {
        let escaped = secret.map { String(format: "%%%02X", $0) }.joined()
        let percent = String(decoding: secret, as: UTF8.self).addingPercentEncoding(withAllowedCharacters: .alphanumerics) ?? ""
        var forms = [
            ("as it is", secret), ("reversed", secret.reversed()), ("hexadecimal", Array(escaped.filter { $0 != "%" }.utf8)),
            ("all percent-encoded", Array(escaped.utf8)), ("percent-encoded", Array(percent.utf8)),
        ]
        for offset in 0..<3 {
            // What depends on the neighbours is cut off.
            let text = Data([UInt8](repeating: 0, count: offset) + secret).base64EncodedString()
            let own = text.dropFirst([0, 2, 3][offset]).filter { $0 != "=" }.dropLast()
            forms.append(("base64", Array(own.utf8)))
            forms.append(("base64url", own.utf8.map { $0 == UInt8(ascii: "+") ? UInt8(ascii: "-") : $0 == UInt8(ascii: "/") ? UInt8(ascii: "_") : $0 }))
        }
        return forms.map { ($0, $1.map(lowercased)) }
    }

    private static func lowercased(_ byte: UInt8) -> UInt8 { (65...90).contains(byte) ? byte + 32 : byte }

    /// The names and forms of all that `bytes` hold.
    func found(in bytes: [UInt8]) -> [String] {
        let data = Data(bytes.map(Markers.lowercased))
        return forms.filter { data.range(of: Data($0.form)) != nil }.map(\.name)
    }

    func found(in text: String) -> [String] { found(in: Array(text.utf8)) }
}
