/// A 64-bit fingerprint of byte strings, to see whether content has changed. Fast, the same on every machine; no protection against forgery.
public struct Fingerprint: Sendable {
    private var state: UInt64

    public init() { state = 0x243F_6A88_85A3_08D3 }

    /// One that nobody else can compute.
    init(seed: UInt64) { state = seed }

    /// Adds one string with its length, so that what stands where between two strings matters.
    public mutating func add(_ bytes: [UInt8]) { bytes.withUnsafeBytes { add($0) } }

    mutating func add(_ raw: UnsafeRawBufferPointer) {
        mix(UInt64(raw.count))
        func word(_ offset: Int) -> UInt64 { UInt64(littleEndian: raw.loadUnaligned(fromByteOffset: offset, as: UInt64.self)) }
        var offset = 0
        if raw.count >= 32 {
            // Four at once: a product has to wait for the one before.
            var a = state, b = ~state, c = state &+ 1, d = state &- 1
            while offset + 32 <= raw.count {
                a = Fingerprint.mixed(a, word(offset))
                b = Fingerprint.mixed(b, word(offset + 8))
                c = Fingerprint.mixed(c, word(offset + 16))
                d = Fingerprint.mixed(d, word(offset + 24))
                offset += 32
            }
            state = Fingerprint.mixed(Fingerprint.mixed(Fingerprint.mixed(a, b), c), d)
        }
        while offset + 8 <= raw.count {
            mix(word(offset))
            offset += 8
        }
        var tail: UInt64 = 0
        while offset < raw.count {
            tail = tail << 8 | UInt64(raw[offset])
            offset += 1
        }
        mix(tail)
    }

    public mutating func add(_ text: String) {
        var text = text
        text.withUTF8 { add(UnsafeRawBufferPointer($0)) }
    }

    /// The fingerprint of all that was added, in the type that BSON has for it.
    public var value: Int64 {
        var last = self
        last.mix(0x9E37_79B9_7F4A_7C15)
        return Int64(bitPattern: last.state)
    }

    private mutating func mix(_ word: UInt64) { state = Fingerprint.mixed(state, word) }

    /// The full 128-bit product, folded: every bit of the word reaches every bit of the state.
    @inline(__always) private static func mixed(_ state: UInt64, _ word: UInt64) -> UInt64 {
        let product = (state ^ word ^ 0xA076_1D64_78BD_642F).multipliedFullWidth(by: 0xE703_7ED1_A0B4_28DB)
        return product.high ^ product.low &+ 0x8EBC_6AF0_9C88_C6E3
    }
}
