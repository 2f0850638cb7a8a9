#if canImport(Glibc)
    internal import Glibc
#else
    internal import Darwin
#endif

/// Walks one JSON text (RFC 8259) from front to back without building a tree.
///
/// The caller asks for what it expects and skips the rest; strings come as slices of the text. Everything a peer can send is
/// either read or thrown as `JSONError`; nothing traps.
public struct JSONReader: Sendable {
    public enum Kind: Sendable { case object, array, string, number, bool, null }

    /// A string as it stands in the text, between its quotes.
    public struct Slice: Sendable {
        public let range: Range<Int>
        /// Whether the slice holds a backslash, so that its characters differ from its bytes.
        public let isEscaped: Bool
    }

    /// The text.
    public let bytes: [UInt8]
    /// The offset of the next byte to read.
    public internal(set) var position = 0
    var needsComma = false

    /// Containers within containers; HubSpot's deepest answer has fewer than ten.
    static let depthMax = 128

    /// Strings are checked to be UTF-8 when they are read; elsewhere JSON has nothing but ASCII, and a byte order mark is not JSON.
    public init(_ bytes: [UInt8]) { self.bytes = bytes }

    // MARK: Containers

    /// The kind of the next value, which stays unread.
    public mutating func peek() throws(JSONError) -> Kind {
        skipSpace()
        switch byte ?? 0 {
        case UInt8(ascii: "{"): return .object
        case UInt8(ascii: "["): return .array
        case UInt8(ascii: "\""): return .string
        case UInt8(ascii: "t"), UInt8(ascii: "f"): return .bool
        case UInt8(ascii: "n"): return .null
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return .number
        default: throw unexpected
        }
    }

    /// Reads `{`; then `nextKey` until it is nil.
    public mutating func enterObject() throws(JSONError) { try open(UInt8(ascii: "{")) }

    /// Reads `[`; then `nextElement` until it is false.
    public mutating func enterArray() throws(JSONError) { try open(UInt8(ascii: "[")) }

    private mutating func open(_ bracket: UInt8) throws(JSONError) {
        skipSpace()
        guard byte == bracket else { throw unexpected }
        position += 1
        needsComma = false
    }

    /// The next member's name with its colon, or nil when `}` was read.
    public mutating func nextKey() throws(JSONError) -> Slice? {
        guard try nextItem(closing: UInt8(ascii: "}")) else { return nil }
        let key = try string()
        skipSpace()
        guard byte == UInt8(ascii: ":") else { throw unexpected }
        position += 1
        return key
    }

    /// True when a value follows, false when `]` was read.
    public mutating func nextElement() throws(JSONError) -> Bool { try nextItem(closing: UInt8(ascii: "]")) }

    private mutating func nextItem(closing bracket: UInt8) throws(JSONError) -> Bool {
        skipSpace()
        if byte == bracket {
            position += 1
            needsComma = true
            return false
        }
        if needsComma {
            guard byte == UInt8(ascii: ",") else { throw unexpected }
            position += 1
            skipSpace()
        }
        return true
    }

    // MARK: Values

    public mutating func string() throws(JSONError) -> Slice {
        skipSpace()
        guard byte == UInt8(ascii: "\"") else { throw unexpected }
        let start = position + 1
        let (end, isEscaped, isASCII) = bytes.withUnsafeBytes { JSONReader.scanString($0, from: start) }
        guard end < bytes.count, bytes[end] == UInt8(ascii: "\"") else {
            throw JSONError(end < bytes.count ? .syntax : .truncated, at: min(end, bytes.count))
        }
        if !isASCII { try checkEncoding(start..<end) }
        position = end + 1
        needsComma = true
        let slice = Slice(range: start..<end, isEscaped: isEscaped)
        if isEscaped { try checkEscapes(slice) }
        return slice
    }

    /// Reads a number and returns its bytes, checked against JSON's grammar.
    public mutating func number() throws(JSONError) -> Range<Int> {
        skipSpace()
        let start = position
        if byte == UInt8(ascii: "-") { position += 1 }
        if byte == UInt8(ascii: "0") {
            position += 1
        } else {
            try digits()
        }
        if byte == UInt8(ascii: ".") {
            position += 1
            try digits()
        }
        if byte == UInt8(ascii: "e") || byte == UInt8(ascii: "E") {
            position += 1
            if byte == UInt8(ascii: "+") || byte == UInt8(ascii: "-") { position += 1 }
            try digits()
        }
        needsComma = true
        return start..<position
    }

    public mutating func bool() throws(JSONError) -> Bool {
        skipSpace()
        if byte == UInt8(ascii: "t") {
            try literal("true")
            return true
        }
        try literal("false")
        return false
    }

    public mutating func null() throws(JSONError) {
        skipSpace()
        try literal("null")
    }

    /// Reads one value of any kind and forgets it; checks its syntax all the same.
    public mutating func skip() throws(JSONError) {
        var closers: [UInt8] = []
        repeat {
            switch try peek() {
            case .string: _ = try string()
            case .number: _ = try number()
            case .bool: _ = try bool()
            case .null: try null()
            case .object:
                try enterObject()
                closers.append(UInt8(ascii: "}"))
            case .array:
                try enterArray()
                closers.append(UInt8(ascii: "]"))
            }
            guard closers.count <= JSONReader.depthMax else { throw JSONError(.depth, at: position) }
            while let closer = closers.last {
                if closer == UInt8(ascii: "}") {
                    if try nextKey() != nil { break }
                } else if try nextElement() {
                    break
                }
                closers.removeLast()
            }
        } while !closers.isEmpty
    }

    /// - Throws: `.syntax` when anything but white space follows the value.
    public mutating func finish() throws(JSONError) {
        skipSpace()
        guard position == bytes.count else { throw JSONError(.syntax, at: position) }
    }

    // MARK: Conveniences

    /// The string's characters, escapes resolved.
    public func text(_ slice: Slice) -> String {
        slice.isEscaped ? String(decoding: unescaped(slice), as: UTF8.self) : String(decoding: bytes[slice.range], as: UTF8.self)
    }

    /// As `text`, but `known` itself where that is the text, which takes no memory of its own.
    public func text(_ slice: Slice, likely known: String?) -> String {
        guard var known, !slice.isEscaped, known.withUTF8({ bytes.span.extracting(slice.range).equals($0) }) else { return text(slice) }
        return known
    }

    /// The string's characters as UTF-8, escapes resolved; a lone surrogate becomes U+FFFD, as in JavaScript's `TextEncoder`.
    public func unescaped(_ slice: Slice) -> [UInt8] {
        guard slice.isEscaped else { return Array(bytes[slice.range]) }
        return Array(unsafeUninitializedCapacity: slice.range.count) { buffer, count in
            count = copyCharacters(of: slice, to: buffer.baseAddress!)
        }
    }

    /// Gives `body` the string's characters as UTF-8, escapes resolved.
    public func withCharacters<R>(of slice: Slice, _ body: (Span<UInt8>) -> R) -> R {
        slice.isEscaped ? body(unescaped(slice).span) : body(bytes.span.extracting(slice.range))
    }

    /// Whether the string equals `text`. An escaped name is compared by its characters.
    @inlinable public func matches(_ slice: Slice, _ text: StaticString) -> Bool {
        (slice.isEscaped || slice.range.count == text.utf8CodeUnitCount) && equals(slice, text)
    }

    @usableFromInline func equals(_ slice: Slice, _ text: StaticString) -> Bool { withCharacters(of: slice) { $0.equals(text) } }

    /// A string, or nil for any other kind of value, which is read and forgotten.
    ///
    /// - Parameter known: what the string may well be.
    public mutating func stringOrSkip(likely known: String? = nil) throws(JSONError) -> String? {
        guard try peek() == .string else {
            try skip()
            return nil
        }
        return text(try string(), likely: known)
    }

    /// An integer written as a number or as a string of digits; nil for anything else, which is read and forgotten.
    public mutating func integerOrSkip() throws(JSONError) -> Int64? {
        switch try peek() {
        case .number:
            let digits = try number()
            return bytes.withUnsafeBytes { Int64(decimal: UnsafeRawBufferPointer(rebasing: $0[digits])) }
        case .string: return Int64(decimal: unescaped(try string())[...])
        default:
            try skip()
            return nil
        }
    }

    // MARK: Bytes

    private var byte: UInt8? { position < bytes.count ? bytes[position] : nil }

    private var unexpected: JSONError { JSONError(position < bytes.count ? .syntax : .truncated, at: position) }

    @inline(__always) private mutating func skipSpace() {
        if position < bytes.count, bytes[position] <= 0x20 { skipSpaces() }
    }

    private mutating func skipSpaces() {
        while position < bytes.count {
            switch bytes[position] {
            case 0x20, 0x0A, 0x0D, 0x09: position += 1
            default: return
            }
        }
    }

    private mutating func digits() throws(JSONError) {
        guard let first = byte, first >= 48, first <= 57 else { throw unexpected }
        while let digit = byte, digit >= 48, digit <= 57 { position += 1 }
    }

    private mutating func literal(_ text: StaticString) throws(JSONError) {
        let end = position + text.utf8CodeUnitCount
        guard end <= bytes.count, text.withUTF8Buffer({ bytes[position..<end].elementsEqual($0) }) else { throw unexpected }
        position = end
        needsComma = true
    }

    /// The offset of the closing quote, or of the control character or the end that is there instead.
    private static func scanString(
        _ bytes: UnsafeRawBufferPointer, from start: Int
    ) -> (end: Int, isEscaped: Bool, isASCII: Bool) {
        var index = start
        var isEscaped = false
        var isASCII = true
        while true {
            while index + TextBlock.size <= bytes.count {
                let block = TextBlock(bytes.baseAddress! + index)
                if !block.isASCII { isASCII = false }
                index += block.plainLength
                if block.plainLength < TextBlock.size { break }
            }
            guard index < bytes.count else { return (bytes.count, isEscaped, isASCII) }
            let byte = bytes[index]
            switch byte {
            case UInt8(ascii: "\""), 0..<0x20: return (index, isEscaped, isASCII)
            case UInt8(ascii: "\\"):
                isEscaped = true
                if index + 1 < bytes.count, bytes[index + 1] >= 0x80 { isASCII = false }
                index += 2
                if index > bytes.count { return (bytes.count, isEscaped, isASCII) }
            default:
                if byte >= 0x80 { isASCII = false }
                index += 1
            }
        }
    }

    func checkEncoding(_ range: Range<Int>) throws(JSONError) {
        do {
            _ = try UTF8Span(validating: bytes.span.extracting(range))
        } catch {
            throw JSONError(.encoding, at: range.lowerBound)
        }
    }

    private func checkEscapes(_ slice: Slice) throws(JSONError) {
        let wrong = bytes.withUnsafeBytes { bytes -> Int? in
            let text = UnsafeRawBufferPointer(rebasing: bytes[..<slice.range.upperBound])
            var index = slice.range.lowerBound
            while let backslash = JSONReader.backslash(in: text, from: index) {
                guard let escape = Escape(in: text, at: backslash) else { return backslash }
                index = backslash + escape.length
            }
            return nil
        }
        if let wrong { throw JSONError(.syntax, at: wrong) }
    }

    /// Copies the string's characters to memory that has room for all of the slice, and gives their number: escapes only become shorter.
    func copyCharacters(of slice: Slice, to target: UnsafeMutableRawPointer) -> Int {
        bytes.withUnsafeBytes { bytes in
            guard slice.isEscaped else {
                if let base = bytes.baseAddress { target.copyMemory(from: base + slice.range.lowerBound, byteCount: slice.range.count) }
                return slice.range.count
            }
            return unescape(UnsafeRawBufferPointer(rebasing: bytes[slice.range]), to: target)
        }
    }

    /// The escapes were checked when the string was read.
    private func unescape(_ text: UnsafeRawBufferPointer, to target: UnsafeMutableRawPointer) -> Int {
        var index = 0
        var end = target
        func copy(through next: Int) {
            guard index < next else { return }
            end.copyMemory(from: text.baseAddress! + index, byteCount: next - index)
            end += next - index
        }
        while let backslash = JSONReader.backslash(in: text, from: index), let escape = Escape(in: text, at: backslash) {
            copy(through: backslash)
            end += escape.write(to: end)
            index = backslash + escape.length
        }
        copy(through: text.count)
        return end - target
    }

    private static func backslash(in bytes: UnsafeRawBufferPointer, from start: Int) -> Int? {
        guard let base = bytes.baseAddress, let found = memchr(base + start, 0x5C, bytes.count - start) else { return nil }
        return UnsafeRawPointer(found) - base
    }

    /// One escape of a string.
    struct Escape {
        /// Its bytes in the text.
        let length: Int
        /// What it stands for; U+FFFD for half of a surrogate pair.
        private let scalar: Unicode.Scalar

        /// - Parameter index: where its backslash is.
        /// - Returns: nil for one that JSON does not have, or that is cut off.
        init?(in text: UnsafeRawBufferPointer, at index: Int) {
            guard index + 1 < text.count else { return nil }
            switch text[index + 1] {
            case UInt8(ascii: "n"): scalar = "\n"
            case UInt8(ascii: "t"): scalar = "\t"
            case UInt8(ascii: "r"): scalar = "\r"
            case UInt8(ascii: "b"): scalar = "\u{8}"
            case UInt8(ascii: "f"): scalar = "\u{C}"
            case let byte where byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") || byte == UInt8(ascii: "/"): scalar = Unicode.Scalar(byte)
            case UInt8(ascii: "u"):
                guard let unit = Escape.unit(text, at: index + 2) else { return nil }
                if unit & 0xFC00 == 0xD800, index + 7 < text.count, text[index + 6] == UInt8(ascii: "\\"), text[index + 7] == UInt8(ascii: "u"),
                    let low = Escape.unit(text, at: index + 8), low & 0xFC00 == 0xDC00
                {
                    scalar = Unicode.Scalar(0x10000 + (UInt32(unit & 0x3FF) << 10 | UInt32(low & 0x3FF))) ?? "\u{FFFD}"
                    length = 12
                } else {
                    scalar = Unicode.Scalar(unit) ?? "\u{FFFD}"
                    length = 6
                }
                return
            default: return nil
            }
            length = 2
        }

        /// Writes it as UTF-8, no longer than the escape, and gives the number of bytes.
        @inline(__always) func write(to target: UnsafeMutableRawPointer) -> Int {
            if scalar.isASCII {
                target.storeBytes(of: UInt8(truncatingIfNeeded: scalar.value), as: UInt8.self)
                return 1
            }
            var count = 0
            for byte in UTF8.encode(scalar)! {
                target.storeBytes(of: byte, toByteOffset: count, as: UInt8.self)
                count += 1
            }
            return count
        }

        private static func unit(_ text: UnsafeRawBufferPointer, at index: Int) -> UInt16? {
            guard index + 4 <= text.count else { return nil }
            var value: UInt16 = 0
            for offset in index..<index + 4 {
                let byte = text[offset]
                switch byte {
                case 48...57: value = value << 4 | UInt16(byte - 48)
                case 65...70: value = value << 4 | UInt16(byte - 55)
                case 97...102: value = value << 4 | UInt16(byte - 87)
                default: return nil
                }
            }
            return value
        }
    }
}

extension Int64 {
    /// An optional minus and 1...19 decimal digits; nil for anything else or out of range.
    public init?(decimal text: some Collection<UInt8>) {
        var magnitude: UInt64 = 0
        let isNegative = text.first == UInt8(ascii: "-")
        let digits = isNegative ? text.dropFirst() : text[...]
        guard !digits.isEmpty, digits.count <= 19 else { return nil }
        for byte in digits {
            guard byte >= 48, byte <= 57 else { return nil }
            magnitude = magnitude * 10 + UInt64(byte - 48)
        }
        guard let value = Int64(exactly: magnitude) else { return nil }
        self = isNegative ? -value : value
    }
}
