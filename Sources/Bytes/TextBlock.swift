internal import CSIMD

/// Sixteen bytes of text, looked at together.
struct TextBlock {
    static let size = 16

    /// How many of the first bytes stand for themselves in a JSON string: up to a quote, a backslash or a control character; `size` when all do.
    let plainLength: Int
    /// Whether those are ASCII.
    let isASCII: Bool

    /// - Parameter text: where `size` bytes can be read.
    @inline(__always) init(_ text: UnsafeRawPointer) {
        let special = hs_special_bits(text) | 1 << 16
        plainLength = special.trailingZeroBitCount
        // Below the lowest bit that is set.
        isASCII = hs_high_bits(text) & (special & (0 &- special) &- 1) == 0
    }

    /// How many of the first bytes are those of another text, where as many can be read.
    @inline(__always) static func commonLength(_ text: UnsafeRawPointer, _ other: UnsafeRawPointer) -> Int {
        (hs_different_bits(text, other) | 1 << 16).trailingZeroBitCount
    }

    /// How many of the first bytes are not zero, where as many can be read.
    @inline(__always) static func lengthBeforeZero(_ text: UnsafeRawPointer) -> Int { (hs_zero_bits(text) | 1 << 16).trailingZeroBitCount }

    /// Copies all of the text that a block looks at.
    @inline(__always) static func copy(_ text: UnsafeRawPointer, to target: UnsafeMutableRawPointer) {
        target.storeBytes(of: text.loadUnaligned(as: SIMD16<UInt8>.self), as: SIMD16<UInt8>.self)
    }
}
