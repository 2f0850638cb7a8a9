/// Reads JSON that the simulator wrote, by a cursor over its bytes. A judge of its own: nothing here is the code that it judges.
struct JSONCursor {
    /// A string between its quotes.
    struct Text {
        let range: Range<Int>
        let isEscaped: Bool
    }

    struct Malformed: Error { let position: Int }

    let bytes: UnsafeBufferPointer<UInt8>
    private(set) var position: Int

    init(_ bytes: UnsafeBufferPointer<UInt8>, at position: Int = 0) {
        self.bytes = bytes
        self.position = position
    }

    /// Whether the byte comes next; it is read if so.
    mutating func takes(_ byte: UInt8) -> Bool {
        guard position < bytes.count, bytes[position] == byte else { return false }
        position += 1
        return true
    }

    mutating func expect(_ text: StaticString) throws {
        for index in 0..<text.utf8CodeUnitCount where !takes(text.utf8Start[index]) { throw Malformed(position: position) }
    }

    mutating func text() throws -> Text {
        try expect("\"")
        let start = position
        var isEscaped = false
        while position < bytes.count, bytes[position] != UInt8(ascii: "\"") {
            if bytes[position] == UInt8(ascii: "\\") {
                isEscaped = true
                position += 1
            }
            position += 1
        }
        let end = position
        try expect("\"")
        return Text(range: start..<end, isEscaped: isEscaped)
    }

    /// nil for `null`.
    mutating func textOrNull() throws -> Text? {
        guard position < bytes.count, bytes[position] == UInt8(ascii: "n") else { return try text() }
        try expect("null")
        return nil
    }

    mutating func texts() throws -> [String] {
        var texts: [String] = []
        try expect("[")
        while !takes(UInt8(ascii: "]")) {
            if !texts.isEmpty { try expect(",") }
            texts.append(string(try text()))
        }
        return texts
    }

    func string(_ text: Text) -> String { String(decoding: unescaped(text), as: UTF8.self) }

    func unescaped(_ text: Text) -> [UInt8] {
        guard text.isEscaped else { return Array(bytes[text.range]) }
        var result: [UInt8] = []
        var index = text.range.lowerBound
        func unit(at index: Int) -> UInt32 { UInt32(String(decoding: bytes[index..<index + 4], as: UTF8.self), radix: 16) ?? 0xFFFD }
        while index < text.range.upperBound {
            guard bytes[index] == UInt8(ascii: "\\") else {
                result.append(bytes[index])
                index += 1
                continue
            }
            let letter = bytes[index + 1]
            index += 2
            switch letter {
            case UInt8(ascii: "n"): result.append(0x0A)
            case UInt8(ascii: "r"): result.append(0x0D)
            case UInt8(ascii: "t"): result.append(0x09)
            case UInt8(ascii: "b"): result.append(0x08)
            case UInt8(ascii: "f"): result.append(0x0C)
            case UInt8(ascii: "u"):
                var scalar = unit(at: index)
                index += 4
                if 0xD800..<0xDC00 ~= scalar {
                    scalar = 0x10000 + (scalar - 0xD800) << 10 + (unit(at: index + 2) - 0xDC00)
                    index += 6
                }
                result += Array(String(Character(Unicode.Scalar(scalar) ?? "\u{FFFD}")).utf8)
            default: result.append(letter)
            }
        }
        return result
    }
}
