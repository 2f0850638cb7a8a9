/// Writes one JSON text front to back. Commas are its own business; matching every begin with its end is the caller's.
public struct JSONWriter: ~Copyable {
    private var bytes: OutputBuffer
    private var needsComma = false
    /// Of `plain`.
    private var scratch: [UInt8] = []

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

    /// A member's name that stands in a BSON document.
    public mutating func key(_ name: BSONKey) {
        separate()
        name.bytes.withUnsafeBytes { quoted($0) }
        colon()
    }

    private mutating func colon() {
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

    private mutating func separate() {
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

    /// `"…"` filled by the caller with characters that need no escape.
    public mutating func plain(_ fill: (inout [UInt8]) -> Void) {
        separate()
        scratch.removeAll(keepingCapacity: true)
        fill(&scratch)
        bytes.append(UInt8(ascii: "\""))
        bytes.append(scratch)
        bytes.append(UInt8(ascii: "\""))
    }

    private mutating func quoted(_ text: UnsafeRawBufferPointer) {
        bytes.append(UInt8(ascii: "\""))
        var index = 0
        while index < text.count { index = escaped(text, from: copyPlain(text, from: index)) }
        bytes.append(UInt8(ascii: "\""))
    }

    /// Copies up to the first byte that does not stand for itself in JSON, or to the end, and gives its offset.
    ///
    /// Words are read and written whole, so that most strings take two or three steps.
    private mutating func copyPlain(_ text: UnsafeRawBufferPointer, from start: Int) -> Int {
        bytes.reserve(text.count - start + 8)
        let out = bytes.end
        var index = start
        while index + 8 <= text.count {
            let word = JSONReader.Word(text.loadUnaligned(fromByteOffset: index, as: UInt64.self).littleEndian)
            out.storeBytes(of: word.bits.littleEndian, toByteOffset: index - start, as: UInt64.self)
            let length = word.plainLength
            index += length
            if length < 8 {
                bytes.advance(by: index - start)
                return index
            }
        }
        while index < text.count, text[index] >= 0x20, text[index] != UInt8(ascii: "\""), text[index] != UInt8(ascii: "\\") {
            out.storeBytes(of: text[index], toByteOffset: index - start, as: UInt8.self)
            index += 1
        }
        bytes.advance(by: index - start)
        return index
    }

    /// Writes the byte at `index`, if there is one, as its escape, and gives the offset behind it.
    private mutating func escaped(_ text: UnsafeRawBufferPointer, from index: Int) -> Int {
        guard index < text.count else { return index }
        bytes.append(UInt8(ascii: "\\"))
        switch text[index] {
        case 0x0A: bytes.append(UInt8(ascii: "n"))
        case 0x0D: bytes.append(UInt8(ascii: "r"))
        case 0x09: bytes.append(UInt8(ascii: "t"))
        case let byte where byte < 0x20:
            bytes.append("u00")
            bytes.append(48 + byte >> 4)
            bytes.append(byte & 15 < 10 ? 48 + byte & 15 : 87 + byte & 15)
        case let byte: bytes.append(byte)
        }
        return index + 1
    }

    // MARK: BSON

    /// The members of a document of strings and nulls, as a record's properties are; others as `value` writes them.
    public mutating func members(of document: BSONSlice, date: (Int64, inout [UInt8]) -> Void) {
        guard let strange = document.bytes.withUnsafeBytes({ texts($0) }) else { return }
        for member in document.elements.dropFirst(strange) {
            key(member.key)
            value(member, date: date)
        }
    }

    /// Writes members up to the first that is neither a string nor null.
    ///
    /// - Returns: how many were written; nil when all were.
    private mutating func texts(_ document: UnsafeRawBufferPointer) -> Int? {
        func length(at offset: Int) -> Int { Int(Int32(littleEndian: document.loadUnaligned(fromByteOffset: offset, as: Int32.self))) }
        guard document.count >= 5 else { return nil }
        let end = min(length(at: 0), document.count) - 1
        var position = 4
        var count = 0
        while position < end {
            let type = document[position]
            guard type == BSONType.string.rawValue || type == BSONType.null.rawValue else { return count }
            guard let nameEnd = document.firstZero(in: (position + 1)..<end) else { return nil }
            var next = nameEnd + 1
            if type == BSONType.string.rawValue {
                // Damaged bytes read as fewer members, as everywhere.
                guard next + 5 <= end else { return nil }
                let size = length(at: next)
                guard size >= 1, next + 4 + size <= end else { return nil }
                separate()
                quoted(UnsafeRawBufferPointer(rebasing: document[(position + 1)..<nameEnd]))
                bytes.append(UInt8(ascii: ":"))
                quoted(UnsafeRawBufferPointer(rebasing: document[(next + 4)..<(next + 3 + size)]))
                next += 4 + size
            } else {
                separate()
                quoted(UnsafeRawBufferPointer(rebasing: document[(position + 1)..<nameEnd]))
                bytes.append(":null")
            }
            position = next
            count += 1
        }
        return nil
    }

    /// The value of a BSON element: dates as ISO 8601 by `date`, 64-bit integers as numbers, types without a JSON form as null.
    public mutating func value(_ element: BSONElement, date: (Int64, inout [UInt8]) -> Void) {
        switch element.type {
        case .string:
            separate()
            element.stringBytes.withUnsafeBytes { quoted($0) }
        case .double: double(element.double ?? .nan)
        case .int32, .int64: integer(element.integer ?? 0)
        case .bool: bool(element.bool ?? false)
        case .date:
            let milliseconds = element.milliseconds ?? 0
            plain { date(milliseconds, &$0) }
        case .document:
            beginObject()
            for member in element.document.elements {
                key(member.key)
                value(member, date: date)
            }
            endObject()
        case .array:
            beginArray()
            for member in element.document.elements { value(member, date: date) }
            endArray()
        default: null()
        }
    }
}
