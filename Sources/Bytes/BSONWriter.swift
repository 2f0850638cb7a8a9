/// Writes one BSON document (bsonspec.org 1.1) front to back.
///
/// Keys must hold no NUL byte: `precondition` for our own names; foreign names come as `JSONReader.Slice` and are checked by
/// the caller with `holdsNUL`.
public struct BSONWriter: ~Copyable {
    private var bytes: [UInt8] = [0, 0, 0, 0]

    public init(capacity: Int = 128) { bytes.reserveCapacity(capacity) }

    /// The document's bytes, its length patched in.
    public consuming func finish() -> [UInt8] {
        end(at: 0)
        return bytes
    }

    // MARK: Values

    public mutating func append(_ key: String, _ value: String) {
        element(.string, key)
        string(value.utf8)
    }

    public mutating func append(_ key: String, _ value: String?) {
        if let value { append(key, value) } else { appendNull(key) }
    }

    public mutating func append(_ key: String, _ value: Double) {
        element(.double, key)
        fixed(value.bitPattern)
    }

    public mutating func append(_ key: String, _ value: Int32) {
        element(.int32, key)
        fixed(value)
    }

    public mutating func append(_ key: String, _ value: Int64) {
        element(.int64, key)
        fixed(value)
    }

    public mutating func append(_ key: String, _ value: Bool) {
        element(.bool, key)
        bytes.append(value ? 1 : 0)
    }

    /// A date, in milliseconds since 1970-01-01T00:00:00Z.
    public mutating func append(_ key: String, date milliseconds: Int64) {
        element(.date, key)
        fixed(milliseconds)
    }

    public mutating func append(_ key: String, date milliseconds: Int64?) {
        if let milliseconds { append(key, date: milliseconds) } else { appendNull(key) }
    }

    public mutating func appendNull(_ key: String) { element(.null, key) }

    /// Text given as UTF-8 that was checked before.
    public mutating func append(_ key: String, utf8 value: [UInt8]) {
        element(.string, key)
        string(value)
    }

    public mutating func append(_ key: String, binary value: [UInt8]) {
        element(.binary, key)
        fixed(Int32(value.count))
        bytes.append(0)
        bytes.append(contentsOf: value)
    }

    public mutating func append(_ key: String, regex pattern: String, options: String = "") {
        element(.regex, key)
        cString(pattern.utf8)
        cString(options.utf8)
    }

    // MARK: Containers

    /// A finished document as the value of `key`.
    public mutating func append(_ key: String, document: [UInt8]) {
        element(.document, key)
        bytes.append(contentsOf: document)
    }

    public mutating func append(_ key: String, array strings: [String]) {
        array(key) { array in
            for (index, value) in strings.enumerated() { array.append(String(index), value) }
        }
    }

    public mutating func document(_ key: String, _ body: (inout BSONWriter) throws -> Void) rethrows {
        element(.document, key)
        try nested(body)
    }

    /// An array: `body` appends its elements under the keys "0", "1", ….
    public mutating func array(_ key: String, _ body: (inout BSONWriter) throws -> Void) rethrows {
        element(.array, key)
        try nested(body)
    }

    private mutating func nested(_ body: (inout BSONWriter) throws -> Void) rethrows {
        let start = bytes.count
        fixed(Int32(0))
        try body(&self)
        end(at: start)
    }

    /// All elements of a finished document, as if each had been appended here.
    public mutating func append(elementsOf document: [UInt8]) {
        precondition(document.count >= 5)
        bytes.append(contentsOf: document[4..<document.count - 1])
    }

    public mutating func append(_ key: String, _ value: BSONValue) {
        switch value {
        case .string(let value): append(key, value)
        case .double(let value): append(key, value)
        case .int32(let value): append(key, value)
        case .int64(let value): append(key, value)
        case .bool(let value): append(key, value)
        case .date(let milliseconds): append(key, date: milliseconds)
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
        guard let value else { return }
        let start = bytes.count
        fixed(Int32(0))
        append(value, of: reader)
        bytes.append(0)
        patch(Int32(bytes.count - start - 4), at: start)
    }

    /// The same under a name of our own.
    public mutating func append(_ key: String, _ value: JSONReader.Slice?, of reader: borrowing JSONReader) {
        guard let value else { return appendNull(key) }
        element(.string, key)
        let start = bytes.count
        fixed(Int32(0))
        append(value, of: reader)
        bytes.append(0)
        patch(Int32(bytes.count - start - 4), at: start)
    }

    private mutating func append(_ slice: JSONReader.Slice, of reader: borrowing JSONReader) {
        if slice.isEscaped {
            reader.appendUnescaped(slice, to: &bytes)
        } else {
            reader.bytes.withUnsafeBytes { bytes.append(contentsOf: UnsafeRawBufferPointer(rebasing: $0[slice.range])) }
        }
    }

    // MARK: Bytes

    private mutating func element(_ type: BSONType, _ key: String) {
        bytes.append(type.rawValue)
        cString(key.utf8)
    }

    private mutating func cString(_ text: String.UTF8View) {
        let start = bytes.count
        bytes.append(contentsOf: text)
        precondition(!bytes[start...].contains(0), "a BSON name or pattern holds no NUL")
        bytes.append(0)
    }

    private mutating func string(_ text: some Collection<UInt8>) {
        fixed(Int32(text.count + 1))
        bytes.append(contentsOf: text)
        bytes.append(0)
    }

    private mutating func fixed(_ value: some FixedWidthInteger) {
        withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
    }

    private mutating func end(at start: Int) {
        bytes.append(0)
        patch(Int32(bytes.count - start), at: start)
    }

    private mutating func patch(_ value: Int32, at offset: Int) {
        withUnsafeBytes(of: value.littleEndian) { word in
            for index in 0..<4 { bytes[offset + index] = word[index] }
        }
    }
}

extension JSONReader {
    /// Whether the string's characters include NUL, which a BSON name cannot hold.
    public func holdsNUL(_ slice: Slice) -> Bool { slice.isEscaped && unescaped(slice).contains(0) }
}
