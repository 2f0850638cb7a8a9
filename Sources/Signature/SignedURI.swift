/// The form of a URL over which a v3 signature is computed.
enum SignedURI {
    /// Bytes whose escapes HubSpot replaces before it signs; all other escapes stay as they are.
    private static let decoded = Set(":/?@!$'()*,;".utf8)

    /// `uri` with the documented twelve escapes replaced.
    ///
    /// Only in their upper-case spelling, which is the one documented: `%3a` stays. One pass, so `%253A` becomes no colon.
    /// - Source: platform page, section 4.1.
    static func decode(_ uri: String) -> String {
        guard uri.utf8.contains(UInt8(ascii: "%")) else { return uri }
        let bytes = Array(uri.utf8)
        var result: [UInt8] = []
        result.reserveCapacity(bytes.count)
        var index = 0
        while index < bytes.count {
            if bytes[index] == UInt8(ascii: "%"), index + 2 < bytes.count, let high = nibble(bytes[index + 1]),
                let low = nibble(bytes[index + 2]), decoded.contains(high << 4 | low)
            {
                result.append(high << 4 | low)
                index += 3
            } else {
                result.append(bytes[index])
                index += 1
            }
        }
        return String(decoding: result, as: UTF8.self)
    }

    private static func nibble(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
        case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}
