/// A 64-bit fingerprint of byte strings, to see whether content has changed. Fast, the same on every machine; no protection against forgery.
public struct Fingerprint: Sendable {
    private var state: UInt64 = 0x243F_6A88_85A3_08D3

    public init() {}

    /// Adds one string with its length, so that what stands where between two strings matters.
    public mutating func add(_ bytes: [UInt8]) {
        mix(UInt64(bytes.count))
        bytes.withUnsafeBytes { raw in
            var offset = 0
            while offset + 8 <= raw.count {
                mix(UInt64(littleEndian: raw.loadUnaligned(fromByteOffset: offset, as: UInt64.self)))
                offset += 8
            }
            var tail: UInt64 = 0
            while offset < raw.count {
                tail = tail << 8 | UInt64(raw[offset])
                offset += 1
            }
            mix(tail)
        }
    }

    public mutating func add(_ text: String) { add(Array(text.utf8)) }

    /// The fingerprint of all that was added, in the type that BSON has for it.
    public var value: Int64 {
        var last = self
        last.mix(0x9E37_79B9_7F4A_7C15)
        return Int64(bitPattern: last.state)
    }

    /// The full 128-bit product, folded: every bit of the word reaches every bit of the state.
    private mutating func mix(_ word: UInt64) {
        let product = (state ^ word ^ 0xA076_1D64_78BD_642F).multipliedFullWidth(by: 0xE703_7ED1_A0B4_28DB)
        state = product.high ^ product.low &+ 0x8EBC_6AF0_9C88_C6E3
    }
}
