public import Model

/// Writes one JSON text front to back. Commas are its own business; matching every begin with its end is the caller's.
public struct JSONWriter: ~Copyable {
    private var bytes: OutputBuffer
    private var needsComma = false

    public init(capacity: Int = 256) { bytes = OutputBuffer(capacity: capacity) }

    public consuming func finish() -> [UInt8] { bytes.array }

    /// Gives `body` the text where it stands, for who copies it anyway.
    public consuming func finish<R>(_ body: (UnsafeRawBufferPointer) -> R) -> R { body(bytes.written) }

    // MARK: Containers

    public mutating func object(_ body: (inout JSONWriter) throws -> Void) rethrows {
        beginObject()
        try body(&self)
        endObject()
    }

    public mutating func array(_ body: (inout JSONWriter) throws -> Void) rethrows {
        beginArray()
        try body(&self)
        endArray()
    }

    public mutating func beginObject() { open(UInt8(ascii: "{")) }
    public mutating func endObject() { close(UInt8(ascii: "}")) }
    public mutating func beginArray() { open(UInt8(ascii: "[")) }
    public mutating func endArray() { close(UInt8(ascii: "]")) }

    public mutating func key(_ name: String) {
        string(name)
        colon()
    }

    /// What comes next is the value of the name that was written.
    mutating func colon() {
        bytes.append(UInt8(ascii: ":"))
        needsComma = false
    }

    private mutating func open(_ bracket: UInt8) {
        separate()
        bytes.append(bracket)
        needsComma = false
    }

    private mutating func close(_ bracket: UInt8) {
        bytes.append(bracket)
        needsComma = true
    }

    mutating func separate() {
        if needsComma { bytes.append(UInt8(ascii: ",")) }
        needsComma = true
    }

    // MARK: Values

    public mutating func string(_ value: String) {
        separate()
        var value = value
        value.withUTF8 { quoted(UnsafeRawBufferPointer($0)) }
    }

    public mutating func string(_ value: String?) {
        if let value { string(value) } else { null() }
    }

    public mutating func integer(_ value: some BinaryInteger) {
        separate()
        bytes.append(utf8: String(value))
    }

    /// The shortest text that reads back as the same number; null when not finite, for JSON has no word for it.
    public mutating func double(_ value: Double) {
        separate()
        guard value.isFinite else { return bytes.append("null") }
        if value == value.rounded(), abs(value) < 9_007_199_254_740_992 {
            bytes.append(utf8: String(Int64(value)))
        } else {
            bytes.append(utf8: value.description)
        }
    }

    public mutating func bool(_ value: Bool) {
        separate()
        bytes.append(value ? "true" : "false")
    }

    public mutating func null() {
        separate()
        bytes.append("null")
    }

    /// A complete JSON value, copied as it stands.
    public mutating func raw(_ json: some Sequence<UInt8>) {
        separate()
        for byte in json { bytes.append(byte) }
    }

    /// As ISO 8601: `"2026-11-20T08:00:00.000Z"`.
    public mutating func instant(_ value: Timestamp) {
        guard let (date, hours, seconds) = value.iso8601Words else { return string(value.iso8601) }
        separate()
        bytes.append(UInt8(ascii: "\""))
        bytes.append(littleEndian: date)
        bytes.append(littleEndian: hours)
        bytes.append(littleEndian: seconds)
        bytes.append(UInt8(ascii: "\""))
    }

    mutating func quoted(_ text: UnsafeRawBufferPointer) { quoted(text, 0..<text.count) }

    /// The string that stands there in `text`; what follows it may be read, too.
    mutating func quoted(_ text: UnsafeRawBufferPointer, _ range: Range<Int>) {
        bytes.append(UInt8(ascii: "\""))
        var index = copyPlain(text, range)
        while index < range.upperBound {
            escape(text[index])
            index = copyPlain(text, index + 1..<range.upperBound)
        }
        bytes.append(UInt8(ascii: "\""))
    }

    /// Copies up to the first byte that does not stand for itself in JSON, or to the end, and gives its offset.
    ///
    /// Blocks are read and written whole, so that most strings take a step or two.
    private mutating func copyPlain(_ text: UnsafeRawBufferPointer, _ range: Range<Int>) -> Int {
        bytes.reserve(range.count + TextBlock.size)
        guard let base = text.baseAddress else { return range.upperBound }
        var index = range.lowerBound
        while true {
            let rest = range.upperBound - index
            var length: Int
            if index + TextBlock.size <= text.count {
                length = TextBlock(base + index).plainLength
                TextBlock.copy(base + index, to: bytes.end)
            } else {
                var last = SIMD16<UInt8>()
                length = withUnsafeMutableBytes(of: &last) { last in
                    last.copyMemory(from: UnsafeRawBufferPointer(start: base + index, count: rest))
                    return TextBlock(last.baseAddress.unsafelyUnwrapped).plainLength
                }
                bytes.end.storeBytes(of: last, as: SIMD16<UInt8>.self)
            }
            length = min(length, rest)
            bytes.advance(by: length)
            index += length
            if length < TextBlock.size { return index }
        }
    }

    private mutating func escape(_ byte: UInt8) {
        bytes.append(UInt8(ascii: "\\"))
        switch byte {
        case 0x0A: bytes.append(UInt8(ascii: "n"))
        case 0x0D: bytes.append(UInt8(ascii: "r"))
        case 0x09: bytes.append(UInt8(ascii: "t"))
        case 0..<0x20:
            bytes.append("u00")
            bytes.append(48 + byte >> 4)
            bytes.append(byte & 15 < 10 ? 48 + byte & 15 : 87 + byte & 15)
        default: bytes.append(byte)
        }
    }
}
