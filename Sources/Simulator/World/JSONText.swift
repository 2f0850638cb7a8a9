import Bytes

/// Strings as JSON bytes.
enum JSONText {
    static func quoted(_ text: String) -> [UInt8] {
        var writer = JSONWriter(capacity: text.utf8.count + 2)
        writer.string(text)
        return writer.finish()
    }

    /// As `quoted`, with every character beyond ASCII as `\uXXXX`: the same string in other bytes.
    static func quotedASCII(_ text: String) -> [UInt8] {
        var bytes: [UInt8] = [UInt8(ascii: "\"")]
        for unit in text.utf16 {
            switch unit {
            case 0x22, 0x5C: bytes += [0x5C, UInt8(unit)]
            case 0x20..<0x7F: bytes.append(UInt8(unit))
            default:
                bytes += Array("\\u".utf8)
                let hex = String(unit, radix: 16)
                bytes += Array((String(repeating: "0", count: 4 - hex.utf8.count) + hex).utf8)
            }
        }
        return bytes + [UInt8(ascii: "\"")]
    }
}
