import Bytes
import HTTPTypes
import Hummingbird

/// The `ETag` of an answer, made from the documents that it shows, before any JSON is written.
///
/// Weak: equal tags mean the same content, while another version of the service may write it in other bytes. It changes with everything
/// that a record's document holds, `lastSyncedAt` and what the API does not show included.
struct EntityTag: Sendable, Equatable, CustomStringConvertible {
    let description: String

    /// - Parameter parts: what else the answer says.
    init(_ documents: [BSONDocument], _ parts: String...) {
        var fingerprint = Fingerprint()
        for document in documents { fingerprint.add(document.bytes) }
        for part in parts { fingerprint.add(part) }
        let digits = String(UInt64(bitPattern: fingerprint.value), radix: 16)
        description = "W/\"" + String(repeating: "0", count: 16 - digits.count) + digits + "\""
    }

    /// Whether the client that sent these headers has this content already.
    ///
    /// - Source: RFC 9110, section 13.1.2; the comparison is the weak one.
    func isKnown(by headers: HTTPFields) -> Bool {
        let opaque = description.dropFirst(2)
        return headers[values: .ifNoneMatch].contains { value in
            value.split(separator: ",").contains { tag in
                let tag = tag.trimmingPrefix(while: \.isWhitespace)
                return tag.prefix { !$0.isWhitespace } == "*" || (tag.hasPrefix("W/") ? tag.dropFirst(2) : tag).prefix(opaque.count) == opaque
            }
        }
    }
}
