#if canImport(Glibc)
    internal import Glibc
#else
    internal import Darwin
#endif

/// Writes one BSON document (bsonspec.org 1.1) front to back.
///
/// Keys must hold no NUL byte: `precondition` for our own names; foreign names come as `JSONReader.Slice` and are checked by
/// the caller with `holdsNUL`.
public struct BSONWriter: ~Copyable {
    var bytes: OutputBuffer

    public init(capacity: Int = 128) {
        bytes = OutputBuffer(capacity: capacity)
        bytes.append(littleEndian: Int32(0))
    }

    /// The document's bytes, its length patched in.
    public consuming func finish() -> [UInt8] { finished() }

    mutating func finished() -> [UInt8] {
        end(at: 0)
        return bytes.array
    }

    /// Forgets what was written, not the memory.
    mutating func restart() {
        bytes.removeAll()
        bytes.append(littleEndian: Int32(0))
    }

    // MARK: Values

    public mutating func append(_ key: String, _ value: String) {
        element(.string, key)
        var value = value
        value.withUTF8 { string(UnsafeRawBufferPointer($0)) }
    }

    public mutating func append(_ key: String, _ value: String?) {
        if let value { append(key, value) } else { appendNull(key) }
    }

    public mutating func append(_ key: String, _ value: Double) {
        element(.double, key)
        bytes.append(littleEndian: value.bitPattern)
    }

    public mutating func append(_ key: String, _ value: Int32) {
        element(.int32, key)
        bytes.append(littleEndian: value)
    }

    public mutating func append(_ key: String, _ value: Int64) {
        element(.int64, key)
        bytes.append(littleEndian: value)
    }

    public mutating func append(_ key: String, _ value: Bool) {
        element(.bool, key)
        bytes.append(value ? 1 : 0)
    }

    /// A date, in milliseconds since 1970-01-01T00:00:00Z.
    public mutating func append(_ key: String, date milliseconds: Int64) {
        element(.date, key)
        bytes.append(littleEndian: milliseconds)
    }

    public mutating func append(_ key: String, date milliseconds: Int64?) {
        if let milliseconds { append(key, date: milliseconds) } else { appendNull(key) }
    }

    public mutating func appendNull(_ key: String) { element(.null, key) }

    /// Text given as UTF-8 that was checked before.
    public mutating func append(_ key: String, utf8 value: [UInt8]) {
        element(.string, key)
        value.withUnsafeBytes { string($0) }
    }

    public mutating func append(_ key: String, binary value: [UInt8]) {
        element(.binary, key)
        bytes.append(littleEndian: Int32(value.count))
        bytes.append(0)
        bytes.append(value)
    }

    public mutating func append(_ key: String, regex pattern: String, options: String = "") {
        element(.regex, key)
        cString(pattern)
        cString(options)
    }

    // MARK: Containers

    /// A finished document as the value of `key`.
    public mutating func append(_ key: String, document: [UInt8]) {
        element(.document, key)
        bytes.append(document)
    }

    public mutating func append(_ key: String, array strings: [String]) {
        array(key) { array in
            for (index, value) in strings.enumerated() { array.append(at: index, value) }
        }
    }

    public mutating func document(_ key: String, _ body: (inout BSONWriter) throws -> Void) rethrows {
        element(.document, key)
        try nested(body)
    }

    /// An array: `body` appends its elements at 0, 1, ….
    public mutating func array(_ key: String, _ body: (inout BSONWriter) throws -> Void) rethrows {
        element(.array, key)
        try nested(body)
    }

    /// A string as an array's element: `prefix`, then `value`.
    public mutating func append(at index: Int, prefix: String = "", _ value: String) {
        element(.string, at: index)
        let start = bytes.count
        bytes.append(littleEndian: Int32(0))
        bytes.append(utf8: prefix)
        bytes.append(utf8: value)
        bytes.append(0)
        bytes.patch(Int32(bytes.count - start - 4), at: start)
    }

    /// A document as an array's element.
    public mutating func document(at index: Int, _ body: (inout BSONWriter) throws -> Void) rethrows {
        element(.document, at: index)
        try nested(body)
    }

    private mutating func nested(_ body: (inout BSONWriter) throws -> Void) rethrows {
        let start = bytes.count
        bytes.append(littleEndian: Int32(0))
        try body(&self)
        end(at: start)
    }

    /// All elements of a finished document, as if each had been appended here.
    public mutating func append(elementsOf document: [UInt8]) {
        precondition(document.count >= 5)
        document.withUnsafeBytes { bytes.append(UnsafeRawBufferPointer(rebasing: $0[4..<$0.count - 1])) }
    }

    public mutating func append(_ key: String, _ value: BSONValue) {
        switch value {
        case .string(let value): append(key, value)
        case .double(let value): append(key, value)
        case .int32(let value): append(key, value)
        case .int64(let value): append(key, value)
        case .bool(let value): append(key, value)
        case .date(let milliseconds): append(key, date: milliseconds)
        case .timestamp(let time):
            element(.timestamp, key)
            bytes.append(littleEndian: time)
        case .null: appendNull(key)
        case .regex(let pattern, let options): append(key, regex: pattern, options: options)
        case .binary(let bytes): append(key, binary: bytes)
        case .document(let document): append(key, document: document.bytes)
        case .array(let values):
            array(key) { array in
                for (index, value) in values.enumerated() { array.append(String(index), value) }
            }
        }
    }

    // MARK: From JSON

    /// A string or null of `reader`'s text under a name of `reader`'s text, copied without becoming Swift strings.
    public mutating func append(_ key: JSONReader.Slice, _ value: JSONReader.Slice?, of reader: borrowing JSONReader) {
        bytes.append((value == nil ? BSONType.null : .string).rawValue)
        append(key, of: reader)
        bytes.append(0)
        if let value { string(value, of: reader) }
    }

    private mutating func append(_ slice: JSONReader.Slice, of reader: borrowing JSONReader) {
        bytes.reserve(slice.range.count)
        bytes.advance(by: reader.copyCharacters(of: slice, to: bytes.end))
    }

    private mutating func string(_ slice: JSONReader.Slice, of reader: borrowing JSONReader) {
        bytes.reserve(slice.range.count + 5)
        let start = bytes.end
        let count = reader.copyCharacters(of: slice, to: start + 4)
        start.storeBytes(of: Int32(truncatingIfNeeded: count + 1).littleEndian, as: Int32.self)
        start.storeBytes(of: 0, toByteOffset: count + 4, as: UInt8.self)
        bytes.advance(by: count + 5)
    }

    // MARK: Under names of our own

    public mutating func append(_ name: BSONNames.Index, of names: borrowing BSONNames, _ value: JSONReader.Slice?, of reader: borrowing JSONReader) {
        guard let value else { return element(.null, name, of: names) }
        element(.string, name, of: names)
        string(value, of: reader)
    }

    public mutating func append(_ name: BSONNames.Index, of names: borrowing BSONNames, _ value: Double?) {
        guard let value else { return element(.null, name, of: names) }
        element(.double, name, of: names)
        bytes.append(littleEndian: value.bitPattern)
    }

    public mutating func append(_ name: BSONNames.Index, of names: borrowing BSONNames, date milliseconds: Int64?) {
        guard let milliseconds else { return element(.null, name, of: names) }
        element(.date, name, of: names)
        bytes.append(littleEndian: milliseconds)
    }

    private mutating func element(_ type: BSONType, _ name: BSONNames.Index, of names: borrowing BSONNames) {
        let place = names.places[name]
        bytes.reserve(1 + place.count)
        bytes.end.storeBytes(of: type.rawValue, as: UInt8.self)
        names.bytes.withUnsafeBytes { (bytes.end + 1).copyMemory(from: $0.baseAddress! + place.lowerBound, byteCount: place.count) }
        bytes.advance(by: 1 + place.count)
    }

    // MARK: Bytes

    private mutating func element(_ type: BSONType, _ key: String) {
        bytes.append(type.rawValue)
        cString(key)
    }

    /// Names are short: to look at their bytes one by one takes less than to call for it.
    private mutating func cString(_ text: String) {
        var text = text
        text.withUTF8 { text in
            bytes.reserve(text.count + 1)
            let end = bytes.end
            for (offset, byte) in text.enumerated() {
                precondition(byte != 0, "a BSON name or pattern holds no NUL")
                end.storeBytes(of: byte, toByteOffset: offset, as: UInt8.self)
            }
            end.storeBytes(of: 0, toByteOffset: text.count, as: UInt8.self)
            bytes.advance(by: text.count + 1)
        }
    }

    /// As the name of an array's element.
    private mutating func element(_ type: BSONType, at index: Int) {
        bytes.append(type.rawValue)
        var power = 1
        while power * 10 <= index { power *= 10 }
        while power > 0 {
            bytes.append(UInt8(truncatingIfNeeded: 48 + index / power % 10))
            power /= 10
        }
        bytes.append(0)
    }

    private mutating func string(_ text: UnsafeRawBufferPointer) {
        bytes.append(littleEndian: Int32(text.count + 1))
        bytes.append(text)
        bytes.append(0)
    }

    private mutating func end(at start: Int) {
        bytes.append(0)
        bytes.patch(Int32(bytes.count - start), at: start)
    }
}

/// Names of members for who writes them often: checked once, and in the form in which they are written.
public struct BSONNames: Sendable {
    public typealias Index = Int

    /// One behind the other, each with the zero that ends it: a name of its own memory would be counted at each use.
    fileprivate let bytes: [UInt8]
    fileprivate let places: [Range<Int>]

    public init(_ names: [String]) {
        var bytes: [UInt8] = []
        places = names.map { name in
            precondition(!name.utf8.contains(0), "a BSON name holds no NUL")
            let start = bytes.count
            bytes += name.utf8
            bytes.append(0)
            return start..<bytes.count
        }
        self.bytes = bytes
    }
}

extension JSONReader {
    /// Whether the string's characters include NUL, which a BSON name cannot hold.
    public func holdsNUL(_ slice: Slice) -> Bool { slice.isEscaped && unescaped(slice).contains(0) }
}
