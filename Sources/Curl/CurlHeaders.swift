/// The header fields of an answer in the order they came. Names are looked up without regard to case.
public struct CurlHeaders: Sendable {
    public private(set) var fields: [(name: String, value: String)]

    public init(_ fields: [(name: String, value: String)] = []) { self.fields = fields }

    /// The value of the first field of that name.
    public subscript(name: String) -> String? {
        let wanted = name.utf8
        return fields.first { field in
            field.name.utf8.count == wanted.count && zip(field.name.utf8, wanted).allSatisfy { $0.lowercased == $1.lowercased }
        }?.value
    }

    /// Reads one line of a header block. A status line starts a new block: what an interim answer (1xx) sent is dropped.
    mutating func read(line: some Collection<UInt8>) {
        if line.starts(with: "HTTP/".utf8) {
            fields.removeAll()
            return
        }
        guard let colon = line.firstIndex(of: UInt8(ascii: ":")) else { return }
        let value = line[line.index(after: colon)...]
        fields.append((CurlHeaders.text(line[..<colon]), CurlHeaders.text(value)))
    }

    private static func text(_ bytes: some Collection<UInt8>) -> String {
        func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 || byte == 0x0D || byte == 0x0A }
        var trimmed = Array(bytes.drop(while: isSpace))
        while let last = trimmed.last, isSpace(last) { trimmed.removeLast() }
        return String(decoding: trimmed, as: UTF8.self)
    }
}

extension UInt8 {
    fileprivate var lowercased: UInt8 { self >= 65 && self <= 90 ? self + 32 : self }
}
