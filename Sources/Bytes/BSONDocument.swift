#if canImport(Glibc)
    internal import Glibc
#else
    internal import Darwin
#endif

/// A BSON document as bytes. Members keep their order.
///
/// Written as a dictionary literal for queries; read by `elements`, which copies nothing, or by subscript, for small documents.
public struct BSONDocument: Sendable, Equatable, ExpressibleByDictionaryLiteral {
    public let bytes: [UInt8]

    /// Bytes that our writer or libbson made. Damaged bytes read as fewer elements, never out of bounds.
    public init(bytes: [UInt8]) { self.bytes = bytes }

    public init(dictionaryLiteral elements: (String, BSONValue)...) { self.init(elements) }

    public init(_ elements: [(String, BSONValue)] = []) {
        var writer = BSONWriter()
        for (key, value) in elements { writer.append(key, value) }
        bytes = writer.finish()
    }

    public var isEmpty: Bool { bytes.count <= 5 }

    public var elements: BSONElements { BSONElements(bytes[...]) }

    /// The first member of that name, converted; nil when there is none.
    public subscript(key: String) -> BSONValue? {
        elements.first { $0.key.matches(key) }?.value
    }
}

/// The elements of a document, in order.
public struct BSONElements: Sequence, Sendable {
    private let bytes: ArraySlice<UInt8>

    /// - Parameter bytes: a whole document, with its length word and closing zero.
    init(_ bytes: ArraySlice<UInt8>) { self.bytes = bytes }

    public func makeIterator() -> Iterator { Iterator(bytes) }

    public struct Iterator: IteratorProtocol, Sendable {
        private let bytes: ArraySlice<UInt8>
        private var position: Int
        private let end: Int

        fileprivate init(_ bytes: ArraySlice<UInt8>) {
            self.bytes = bytes
            position = bytes.startIndex + 4
            let length = bytes.count >= 5 ? Int(bytes.int32(at: bytes.startIndex)) : 0
            end = length >= 5 && length <= bytes.count ? bytes.startIndex + length - 1 : bytes.startIndex
        }

        public mutating func next() -> BSONElement? {
            guard position < end, let type = BSONType(rawValue: bytes[position]) else { return nil }
            let keyStart = position + 1
            let offset = bytes.startIndex
            guard
                let keyEnd = bytes.withUnsafeBytes({ $0.firstZero(in: (keyStart - offset)..<(end - offset)) }).map({ $0 + offset })
            else { return nil }
            let start = keyEnd + 1
            guard let size = size(of: type, at: start), size >= 0, start + size <= end else { return nil }
            position = start + size
            return BSONElement(type: type, key: BSONKey(bytes: bytes[keyStart..<keyEnd]), payload: bytes[start..<start + size])
        }

        private func size(of type: BSONType, at start: Int) -> Int? {
            func length(_ extra: Int) -> Int? {
                guard start + 4 <= end else { return nil }
                let value = Int(bytes.int32(at: start))
                return value < 0 ? nil : value + extra
            }
            switch type {
            case .double, .date, .int64, .timestamp: return 8
            case .string, .javascript: return length(4)
            case .document, .array: return length(0)
            case .binary: return length(5)
            case .objectId: return 12
            case .bool: return 1
            case .int32: return 4
            case .decimal128: return 16
            case .undefined, .null, .minKey, .maxKey: return 0
            case .regex:
                guard let pattern = bytes[start..<end].firstIndex(of: 0),
                    let options = bytes[(pattern + 1)..<end].firstIndex(of: 0)
                else { return nil }
                return options + 1 - start
            }
        }
    }
}

/// The name of an element, as bytes of its document.
public struct BSONKey: Sendable {
    public let bytes: ArraySlice<UInt8>

    public func matches(_ name: String) -> Bool {
        guard bytes.count == name.utf8.count else { return false }
        var name = name
        return bytes.withUnsafeBytes { bytes in name.withUTF8 { bytes.isEmpty || memcmp(bytes.baseAddress!, $0.baseAddress!, bytes.count) == 0 } }
    }
    public var string: String { String(decoding: bytes, as: UTF8.self) }
}

/// One element of a document: its type, its name and the bytes of its value.
public struct BSONElement: Sendable {
    public let type: BSONType
    public let key: BSONKey
    let payload: ArraySlice<UInt8>

    /// The value of a string, as UTF-8; empty for another type.
    public var stringBytes: ArraySlice<UInt8> {
        type == .string && payload.count >= 5 ? payload.dropFirst(4).dropLast() : []
    }

    public var string: String? { type == .string ? String(decoding: stringBytes, as: UTF8.self) : nil }
    public var bool: Bool? { type == .bool ? payload.first != 0 : nil }
    public var double: Double? { type == .double ? Double(bitPattern: UInt64(bitPattern: payload.int64(at: payload.startIndex))) : nil }
    /// The value of a date, in milliseconds since 1970-01-01T00:00:00Z.
    public var milliseconds: Int64? { type == .date ? payload.int64(at: payload.startIndex) : nil }

    /// An integer of either width.
    public var integer: Int64? {
        switch type {
        case .int32: Int64(payload.int32(at: payload.startIndex))
        case .int64: payload.int64(at: payload.startIndex)
        default: nil
        }
    }

    /// The value of a document or an array; empty for another type.
    public var document: BSONSlice { BSONSlice(bytes: type == .document || type == .array ? payload : []) }

    /// Whether the other has the same type and value, whatever their names.
    public func hasValue(of other: BSONElement) -> Bool { type == other.type && payload.elementsEqual(other.payload) }

    /// The value, converted. Types that we never store (ObjectId, Decimal128, …) read as null.
    public var value: BSONValue {
        switch type {
        case .string: .string(String(decoding: stringBytes, as: UTF8.self))
        case .double: .double(double ?? .nan)
        case .int32: .int32(payload.int32(at: payload.startIndex))
        case .int64: .int64(payload.int64(at: payload.startIndex))
        case .bool: .bool(payload.first != 0)
        case .date: .date(payload.int64(at: payload.startIndex))
        case .timestamp: .timestamp(UInt64(bitPattern: payload.int64(at: payload.startIndex)))
        case .document: .document(BSONDocument(bytes: Array(payload)))
        case .array: .array(document.elements.map(\.value))
        case .binary: .binary(Array(payload.dropFirst(5)))
        default: .null
        }
    }
}

/// A document within a document.
public struct BSONSlice: Sendable {
    let bytes: ArraySlice<UInt8>
    public var elements: BSONElements { BSONElements(bytes) }
}

extension UnsafeRawBufferPointer {
    /// Where a name ends.
    func firstZero(in range: Range<Int>) -> Int? {
        guard !range.isEmpty, let base = baseAddress, let zero = memchr(base + range.lowerBound, 0, range.count) else { return nil }
        return UnsafeRawPointer(zero) - base
    }
}

extension ArraySlice<UInt8> {
    fileprivate func int32(at index: Int) -> Int32 {
        Int32(littleEndian: withUnsafeBytes { $0.loadUnaligned(fromByteOffset: index - startIndex, as: Int32.self) })
    }

    fileprivate func int64(at index: Int) -> Int64 {
        Int64(littleEndian: withUnsafeBytes { $0.loadUnaligned(fromByteOffset: index - startIndex, as: Int64.self) })
    }
}
