internal import Bytes
package import Model

/// Reads record objects of HubSpot's JSON straight into `Record`s: properties go from JSON bytes to BSON bytes in one pass.
///
/// HubSpot promises every value to be a string or null; any other value is kept as its JSON text.
package struct RecordReader: Sendable {
    private let type: RecordType
    private let fieldNames: BSONNames
    private let fieldKinds: [TypedField.Kind]
    /// Names of the properties that are also read on the way, those of the typed fields first.
    private let wanted: [[UInt8]]
    private let mergeProperties: Range<Int>

    package init(_ type: RecordType) {
        self.type = type
        fieldNames = BSONNames(type.typedFields.map(\.name))
        fieldKinds = type.typedFields.map(\.kind)
        let names = type.typedFields.map(\.property) + type.mergeProperties
        wanted = names.map { Array($0.utf8) }
        mergeProperties = type.typedFields.count..<names.count
    }

    /// What reads the properties of the records of one answer.
    func scanner() -> MemberScanner { MemberScanner(lookingFor: wanted) }

    /// Reads the next value of `reader`, which is left behind it also when the record fails.
    ///
    /// - Throws: when the text itself is damaged.
    func read(_ reader: inout JSONReader, with scanner: inout MemberScanner) throws(JSONError) -> Result<Record, RecordFailure> {
        guard try reader.peek() == .object else {
            try reader.skip()
            return .failure(RecordFailure(id: nil, message: "the record is not a JSON object"))
        }
        var id: String?
        var createdAt: JSONReader.Slice?
        var updatedAt: JSONReader.Slice?
        var archivedAt: JSONReader.Slice?
        var archived = false
        var properties: TextMembers?
        var associations = Associations()
        try reader.enterObject()
        while let key = try reader.nextKey() {
            if reader.matches(key, "id") {
                id = try reader.textOrNull().map(reader.text)
            } else if reader.matches(key, "properties"), try reader.peek() == .object {
                properties = try scanner.read(&reader)
            } else if reader.matches(key, "createdAt") {
                createdAt = try reader.textOrNull()
            } else if reader.matches(key, "updatedAt") {
                updatedAt = try reader.textOrNull()
            } else if reader.matches(key, "archivedAt") {
                archivedAt = try reader.textOrNull()
            } else if reader.matches(key, "archived"), try reader.peek() == .bool {
                archived = try reader.bool()
            } else if reader.matches(key, "associations"), try reader.peek() == .object {
                associations = try Associations(&reader)
            } else {
                try reader.skip()
            }
        }
        guard let id, RecordReader.isId(id) else { return .failure(RecordFailure(id: nil, message: "the record has no usable id")) }
        func failure(_ message: String) -> Result<Record, RecordFailure> { .failure(RecordFailure(id: id, message: message)) }
        func instant(_ slice: JSONReader.Slice?) -> Timestamp? { slice.flatMap { reader.withCharacters(of: $0) { Timestamp(property: $0) } } }
        guard let createdAt = instant(createdAt) else { return failure("the record has no usable createdAt") }
        guard let updatedAt = instant(updatedAt) else { return failure("the record has no usable updatedAt") }
        guard let properties else { return failure("the record has no properties") }
        guard !properties.hasNUL else { return failure("a property's name holds a NUL character") }
        return .success(
            Record(
                type: type, id: id, createdAt: createdAt, updatedAt: updatedAt, archived: archived, archivedAt: instant(archivedAt),
                mergedIds: mergedIds(properties, of: id, reader), fields: scanner.document { typed(properties, reader, to: &$0) }, properties: properties.bson,
                associations: associations.complete, truncatedAssociations: associations.truncated))
    }

    /// HubSpot's record ids are decimal digits.
    static func isId(_ text: String) -> Bool {
        let characters = text.utf8.span
        guard (1...20).contains(characters.count) else { return false }
        for index in characters.indices where !(48...57).contains(characters[index]) { return false }
        return true
    }

    // MARK: Associations

    /// The `associations` of a record: one entry a type, each pair once for every label that it has.
    private struct Associations {
        var complete: [RecordType: [String]] = [:]
        var truncated: Set<RecordType> = []

        init() {}

        init(_ reader: inout JSONReader) throws(JSONError) {
            try reader.enterObject()
            while let key = try reader.nextKey() {
                guard let type = RecordType(rawValue: reader.text(key)), try reader.peek() == .object else {
                    try reader.skip()
                    continue
                }
                var ids: [String] = []
                var isWhole = false
                try reader.enterObject()
                while let key = try reader.nextKey() {
                    if reader.matches(key, "results"), try reader.peek() == .array {
                        isWhole = true
                        try reader.enterArray()
                        while try reader.nextElement() {
                            if let id = try Associations.id(&reader) { ids.append(id) } else { isWhole = false }
                        }
                    } else if reader.matches(key, "paging"), try reader.peek() == .object {
                        if try Answer.cursor(&reader) != nil { truncated.insert(type) }
                    } else {
                        try reader.skip()
                    }
                }
                if !isWhole { truncated.insert(type) }
                if !truncated.contains(type) { complete[type] = ids.inIdOrder.withoutRepetition }
            }
        }

        private static func id(_ reader: inout JSONReader) throws(JSONError) -> String? {
            guard try reader.peek() == .object else {
                try reader.skip()
                return nil
            }
            var id: String?
            try reader.enterObject()
            while let key = try reader.nextKey() {
                if reader.matches(key, "id") { id = try reader.textOrNull().map(reader.text) } else { try reader.skip() }
            }
            return id.flatMap { RecordReader.isId($0) ? $0 : nil }
        }
    }

    // MARK: What is made of them

    private func typed(_ properties: TextMembers, _ reader: borrowing JSONReader, to writer: inout BSONWriter) {
        for (field, kind) in fieldKinds.enumerated() {
            let value = properties.wanted[field]
            switch kind {
            case .string: writer.append(field, of: fieldNames, value, of: reader)
            case .number: writer.append(field, of: fieldNames, value.flatMap { RecordReader.number(reader.unescaped($0)) })
            case .date:
                let instant = value.flatMap { reader.withCharacters(of: $0) { Timestamp(property: $0) } }
                writer.append(field, of: fieldNames, date: instant?.milliseconds)
            }
        }
    }

    /// A finite number in decimal or scientific notation.
    static func number(_ text: [UInt8]) -> Double? {
        // `Double` alone would also read "nan", "inf" and hexadecimal.
        let isDecimal = text.allSatisfy { byte in
            switch byte {
            case 48...57, UInt8(ascii: "."), UInt8(ascii: "-"), UInt8(ascii: "+"), UInt8(ascii: "e"), UInt8(ascii: "E"): true
            default: false
            }
        }
        guard isDecimal, let value = Double(String(decoding: text, as: UTF8.self)), value.isFinite else { return nil }
        return value
    }

    /// - Source: platform page, section 9.1: `id;id`, and for contacts `id:instant;id:instant`; either may name the record itself.
    private func mergedIds(_ properties: TextMembers, of id: String, _ reader: borrowing JSONReader) -> [String] {
        var result: [String] = []
        var seen: Set<String> = []
        for index in mergeProperties {
            guard let slice = properties.wanted[index] else { continue }
            for part in reader.text(slice).split(whereSeparator: { $0 == ";" || $0 == " " }) {
                let merged = String(part.prefix { $0 != ":" })
                if merged != id, RecordReader.isId(merged), seen.insert(merged).inserted { result.append(merged) }
            }
        }
        return result
    }
}
