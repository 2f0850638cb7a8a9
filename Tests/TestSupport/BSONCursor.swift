import Foundation

/// Walks the members of one BSON document. A judge of its own, as `JSONCursor` is.
struct BSONCursor {
    struct Member {
        let type: UInt8
        let name: UnsafeBufferPointer<UInt8>
        let value: UnsafeBufferPointer<UInt8>

        static let double: UInt8 = 0x01, string: UInt8 = 0x02, document: UInt8 = 0x03, array: UInt8 = 0x04, bool: UInt8 = 0x08
        static let date: UInt8 = 0x09, null: UInt8 = 0x0A

        var isNull: Bool { type == Member.null }
        /// The bytes of a string without length and NUL; nil for another type.
        var text: UnsafeBufferPointer<UInt8>? {
            type == Member.string ? UnsafeBufferPointer(rebasing: value[4..<value.count - 1]) : nil
        }
        var bool: Bool? { type == Member.bool ? value[0] != 0 : nil }
        var date: Int64? { type == Member.date ? integer : nil }
        var double: Double? { type == Member.double ? Double(bitPattern: UInt64(bitPattern: integer)) : nil }

        private var integer: Int64 { Int64(littleEndian: UnsafeRawBufferPointer(value).loadUnaligned(as: Int64.self)) }

        func isNamed(_ other: StaticString) -> Bool {
            name.count == other.utf8CodeUnitCount && memcmp(name.baseAddress!, other.utf8Start, name.count) == 0
        }

        /// For messages.
        var shown: String {
            switch type {
            case Member.null: "null"
            case Member.string: "\"\(String(decoding: text!.prefix(60), as: UTF8.self))\""
            case Member.bool: "\(value[0] != 0)"
            case Member.date: "date \(integer)"
            case Member.double: "number \(double!)"
            default: "BSON type \(type) of \(value.count) bytes"
            }
        }
    }

    private let bytes: UnsafeBufferPointer<UInt8>
    private var position = 4

    /// - Parameter bytes: a whole document.
    init(_ bytes: UnsafeBufferPointer<UInt8>) { self.bytes = bytes }

    mutating func next() -> Member? {
        guard position < bytes.count - 1 else { return nil }
        let type = bytes[position]
        let start = position + 1
        var end = start
        while bytes[end] != 0 { end += 1 }
        let value = end + 1
        func length(at index: Int) -> Int {
            Int(Int32(littleEndian: UnsafeRawBufferPointer(bytes).loadUnaligned(fromByteOffset: index, as: Int32.self)))
        }
        let size: Int
        switch type {
        case Member.double, Member.date, 0x11, 0x12: size = 8
        case Member.string: size = 4 + length(at: value)
        case Member.document, Member.array: size = length(at: value)
        case 0x05: size = 5 + length(at: value)
        case 0x07: size = 12
        case Member.bool: size = 1
        case 0x10: size = 4
        case Member.null: size = 0
        default: preconditionFailure("a mirror document holds BSON type \(type)")
        }
        position = value + size
        return Member(
            type: type, name: UnsafeBufferPointer(rebasing: bytes[start..<end]),
            value: UnsafeBufferPointer(rebasing: bytes[value..<value + size]))
    }
}
