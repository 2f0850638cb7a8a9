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
        elements.first(named: key)?.value
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
        private var places: ElementPlaces

        fileprivate init(_ bytes: ArraySlice<UInt8>) {
            self.bytes = bytes
            places = bytes.withUnsafeBytes { ElementPlaces($0) }
        }

        public mutating func next() -> BSONElement? {
            bytes.withUnsafeBytes { places.next(in: $0) }.map { BSONElement($0, of: bytes) }
        }
    }

    /// The first of that name. The others cost nothing but a look at their names.
    public func first(named name: String) -> BSONElement? {
        var name = name
        let place = bytes.withUnsafeBytes { bytes in
            name.withUTF8 { name -> ElementPlace? in
                var places = ElementPlaces(bytes)
                while let place = places.next(in: bytes) {
                    if place.key.count == name.count, name.isEmpty || memcmp(bytes.baseAddress! + place.key.lowerBound, name.baseAddress!, name.count) == 0 {
                        return place
                    }
                }
                return nil
            }
        }
        return place.map { BSONElement($0, of: bytes) }
    }
}

/// The places of a document's elements, in order.
struct ElementPlaces {
    private var position = 4
    private let end: Int

    init(_ document: UnsafeRawBufferPointer) { end = ElementPlace.end(of: document) }

    /// - Parameter document: the same.
    @inline(__always) mutating func next(in document: UnsafeRawBufferPointer) -> ElementPlace? {
        guard let place = ElementPlace(document, at: position, before: end) else { return nil }
        position = place.value.upperBound
        return place
    }
}

/// Where an element stands in its document, as offsets.
struct ElementPlace {
    let type: BSONType
    let key: Range<Int>
    let value: Range<Int>

    /// The element at `position`; nil at the end, and where the bytes are damaged.
    @inline(__always) fileprivate init?(_ document: UnsafeRawBufferPointer, at position: Int, before end: Int) {
        guard position < end, let keyEnd = document.firstZero(in: position + 1..<end) else { return nil }
        let size: Int
        // Most are strings, and telling all types apart takes longer than this.
        if document[position] == BSONType.string.rawValue {
            guard keyEnd + 5 <= end else { return nil }
            let length = Int(ElementPlace.int32(document, at: keyEnd + 1))
            guard length >= 0 else { return nil }
            type = .string
            size = length + 4
        } else {
            guard let other = BSONType(rawValue: document[position]),
                let otherSize = ElementPlace.size(of: other, in: document, at: keyEnd + 1, before: end)
            else { return nil }
            type = other
            size = otherSize
        }
        guard keyEnd + 1 + size <= end else { return nil }
        key = position + 1..<keyEnd
        value = keyEnd + 1..<keyEnd + 1 + size
    }

    /// The offset of the closing zero; 0 for what is no document.
    fileprivate static func end(of document: UnsafeRawBufferPointer) -> Int {
        let length = document.count >= 5 ? Int(int32(document, at: 0)) : 0
        return length >= 5 && length <= document.count ? length - 1 : 0
    }

    private static func int32(_ bytes: UnsafeRawBufferPointer, at offset: Int) -> Int32 {
        Int32(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: Int32.self))
    }

    private static func size(of type: BSONType, in bytes: UnsafeRawBufferPointer, at start: Int, before end: Int) -> Int? {
        func length(_ extra: Int) -> Int? {
            guard start + 4 <= end else { return nil }
            let value = Int(int32(bytes, at: start))
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
            guard let pattern = bytes.firstZero(in: start..<end), let options = bytes.firstZero(in: pattern + 1..<end) else { return nil }
            return options + 1 - start
        }
    }
}

/// One element of a document.
public struct BSONElement: Sendable {
    private let bytes: ArraySlice<UInt8>
    private let place: ElementPlace

    fileprivate init(_ place: ElementPlace, of document: ArraySlice<UInt8>) {
        self.place = place
        bytes = document
    }

    public var type: BSONType { place.type }

    public var name: String { String(decoding: slice(place.key), as: UTF8.self) }

    public func isNamed(_ name: StaticString) -> Bool {
        bytes.withUnsafeBytes { bytes in
            place.key.count == name.utf8CodeUnitCount && memcmp(bytes.baseAddress! + place.key.lowerBound, name.utf8Start, place.key.count) == 0
        }
    }

    private var payload: ArraySlice<UInt8> { slice(place.value) }

    private func slice(_ range: Range<Int>) -> ArraySlice<UInt8> {
        bytes[bytes.startIndex + range.lowerBound..<bytes.startIndex + range.upperBound]
    }

    private var int32: Int32 { Int32(truncatingIfNeeded: load(UInt32.self).littleEndian) }
    private var int64: Int64 { Int64(truncatingIfNeeded: load(UInt64.self).littleEndian) }

    private func load<T: BitwiseCopyable>(_ type: T.Type) -> T {
        bytes.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: place.value.lowerBound, as: type) }
    }

    /// The value of a string, as UTF-8; empty for another type.
    public var stringBytes: ArraySlice<UInt8> {
        type == .string && payload.count >= 5 ? payload.dropFirst(4).dropLast() : []
    }

    public var string: String? { type == .string ? String(decoding: stringBytes, as: UTF8.self) : nil }
    public var bool: Bool? { type == .bool ? payload.first != 0 : nil }
    public var double: Double? { type == .double ? Double(bitPattern: UInt64(bitPattern: int64)) : nil }
    /// The value of a date, in milliseconds since 1970-01-01T00:00:00Z.
    public var milliseconds: Int64? { type == .date ? int64 : nil }

    /// An integer of either width.
    public var integer: Int64? {
        switch type {
        case .int32: Int64(int32)
        case .int64: int64
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
        case .int32: .int32(int32)
        case .int64: .int64(int64)
        case .bool: .bool(payload.first != 0)
        case .date: .date(int64)
        case .timestamp: .timestamp(UInt64(bitPattern: int64))
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
    @inline(__always) func firstZero(in range: Range<Int>) -> Int? {
        guard !range.isEmpty, let base = baseAddress else { return nil }
        // Most names are shorter than a block.
        if range.lowerBound + TextBlock.size <= count {
            let length = TextBlock.lengthBeforeZero(base + range.lowerBound)
            if length < TextBlock.size { return length < range.count ? range.lowerBound + length : nil }
        }
        guard let zero = memchr(base + range.lowerBound, 0, range.count) else { return nil }
        return UnsafeRawPointer(zero) - base
    }
}
