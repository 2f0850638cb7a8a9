internal import Model

/// How a document's member stands in JSON.
public enum MemberForm: Sendable {
    case asItIs, omitted
    case renamed(StaticString)
    /// Of the document that it holds, only the members of these names.
    case only(Set<String>)
}

extension JSONWriter {
    /// A document's members: dates as ISO 8601, 64-bit integers as numbers, types without a JSON form as null.
    ///
    /// Damaged bytes read as fewer members, as everywhere.
    public mutating func members(of document: BSONDocument, form: (Span<UInt8>) -> MemberForm = { _ in .asItIs }) {
        document.bytes.withUnsafeBytes { members(of: $0, form: form) }
    }

    private mutating func members(of document: UnsafeRawBufferPointer, form: (Span<UInt8>) -> MemberForm) {
        var places = ElementPlaces(document)
        while let place = places.next(in: document) {
            switch form(UnsafeRawBufferPointer(rebasing: document[place.key]).assumingMemoryBound(to: UInt8.self).span) {
            case .asItIs: member(place, of: document)
            case .omitted: continue
            case .renamed(let name):
                key(UnsafeRawBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount), 0..<name.utf8CodeUnitCount)
                value(place, of: document)
            case .only(let names):
                key(document, place.key)
                guard place.type == .document else {
                    value(place, of: document)
                    continue
                }
                beginObject()
                members(of: UnsafeRawBufferPointer(rebasing: document[place.value])) { name in
                    names.contains(name.withUnsafeBufferPointer { String(decoding: $0, as: UTF8.self) }) ? .asItIs : .omitted
                }
                endObject()
            }
        }
    }

    @inline(__always) private mutating func member(_ place: ElementPlace, of document: UnsafeRawBufferPointer) {
        key(document, place.key)
        value(place, of: document)
    }

    @inline(__always) private mutating func key(_ text: UnsafeRawBufferPointer, _ range: Range<Int>) {
        separate()
        quoted(text, range)
        colon()
    }

    private mutating func value(_ place: ElementPlace, of document: UnsafeRawBufferPointer) {
        func bits() -> UInt64 { UInt64(littleEndian: document.loadUnaligned(fromByteOffset: place.value.lowerBound, as: UInt64.self)) }
        switch place.type {
        case .string:
            separate()
            // Its length before it, a zero behind it.
            quoted(document, place.value.count < 5 ? 0..<0 : place.value.lowerBound + 4..<place.value.upperBound - 1)
        case .double: double(Double(bitPattern: bits()))
        case .int32: integer(Int32(truncatingIfNeeded: document.loadUnaligned(fromByteOffset: place.value.lowerBound, as: UInt32.self).littleEndian))
        case .int64: integer(Int64(bitPattern: bits()))
        case .bool: bool(document[place.value.lowerBound] != 0)
        case .date: instant(Timestamp(milliseconds: Int64(bitPattern: bits())))
        case .document:
            beginObject()
            let inner = UnsafeRawBufferPointer(rebasing: document[place.value])
            var places = ElementPlaces(inner)
            while let place = places.next(in: inner) { member(place, of: inner) }
            endObject()
        case .array:
            beginArray()
            let inner = UnsafeRawBufferPointer(rebasing: document[place.value])
            var places = ElementPlaces(inner)
            while let place = places.next(in: inner) { value(place, of: inner) }
            endArray()
        default: null()
        }
    }
}
