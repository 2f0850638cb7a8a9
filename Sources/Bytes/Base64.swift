/// Base64 of RFC 4648: standard with padding, or for URLs without.
public enum Base64: Sendable {
    case standard, url

    private var alphabet: [UInt8] {
        Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789".utf8)
            + (self == .standard ? [0x2B, 0x2F] : [0x2D, 0x5F])
    }

    public func encode(_ bytes: [UInt8]) -> String {
        let alphabet = alphabet
        var text: [UInt8] = []
        text.reserveCapacity((bytes.count + 2) / 3 * 4)
        var index = 0
        while index < bytes.count {
            let count = min(3, bytes.count - index)
            var word = UInt32(bytes[index]) << 16
            if count > 1 { word |= UInt32(bytes[index + 1]) << 8 }
            if count > 2 { word |= UInt32(bytes[index + 2]) }
            for position in 0...count { text.append(alphabet[Int(word >> (18 - 6 * position)) & 63]) }
            if self == .standard { for _ in count..<3 { text.append(0x3D) } }
            index += 3
        }
        return String(decoding: text, as: UTF8.self)
    }

    /// nil unless `text` is exactly what `encode` makes of some bytes.
    public func decode(_ text: String) -> [UInt8]? {
        let text = text.utf8.span
        var length = text.count
        if self == .standard {
            guard length % 4 == 0 else { return nil }
            for _ in 0..<2 where length > 0 && text[length - 1] == 0x3D { length -= 1 }
        }
        guard length % 4 != 1 else { return nil }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(length / 4 * 3 + 2)
        var word: UInt32 = 0
        var bits = 0
        for index in 0..<length {
            let byte = text[index]
            let value: UInt32
            switch byte {
            case 65...90: value = UInt32(byte - 65)
            case 97...122: value = UInt32(byte - 71)
            case 48...57: value = UInt32(byte + 4)
            case 0x2B where self == .standard, 0x2D where self == .url: value = 62
            case 0x2F where self == .standard, 0x5F where self == .url: value = 63
            default: return nil
            }
            word = word << 6 | value
            bits += 6
            if bits >= 8 {
                bits -= 8
                bytes.append(UInt8(truncatingIfNeeded: word >> UInt32(bits)))
            }
        }
        return word & (1 << UInt32(bits) - 1) == 0 ? bytes : nil
    }
}
