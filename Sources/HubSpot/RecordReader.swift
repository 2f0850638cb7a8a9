internal import Bytes
internal import Model

/// Reads record objects of HubSpot's JSON straight into `Record`s: properties go from JSON bytes to BSON bytes in one pass.
///
/// HubSpot promises every value to be a string or null; any other value is kept as its JSON text. A name that comes twice counts once,
/// with its last value.
struct RecordReader: Sendable {
    private let type: RecordType
    private let fields: [TypedField]
    /// Names of the properties that are also read on the way, those of `fields` first.
    private let wanted: [[UInt8]]
    /// Indexes into `wanted` by length of the name: most properties are dismissed by their length alone.
    private let wantedByLength: [[Int]]
    private let mergedIndex: Int
    private let mergedVidsIndex: Int

    init(_ type: RecordType) {
        self.type = type
        fields = type.typedFields
        var wanted = fields.map { Array($0.property.utf8) }
        mergedIndex = wanted.count
        wanted.append(Array("hs_merged_object_ids".utf8))
        mergedVidsIndex = wanted.count
        if type == .contacts { wanted.append(Array("hs_calculated_merged_vids".utf8)) }
        self.wanted = wanted
        var byLength: [[Int]] = Array(repeating: [], count: (wanted.map(\.count).max() ?? 0) + 1)
        for (index, name) in wanted.enumerated() { byLength[name.count].append(index) }
        wantedByLength = byLength
    }

    /// Reads the next value of `reader`, which is left behind it also when the record fails.
    ///
    /// - Throws: when the text itself is damaged.
    func read(_ reader: inout JSONReader) throws(JSONError) -> Result<Record, RecordFailure> {
        guard try reader.peek() == .object else {
            try reader.skip()
            return .failure(RecordFailure(id: nil, message: "the record is not a JSON object"))
        }
        var id: String?
        var createdAt: JSONReader.Slice?
        var updatedAt: JSONReader.Slice?
        var archivedAt: JSONReader.Slice?
        var archived = false
        var properties: Properties?
        try reader.enterObject()
        while let key = try reader.nextKey() {
            if reader.matches(key, "id") {
                id = try reader.textOrNull().map(reader.text)
            } else if reader.matches(key, "properties"), try reader.peek() == .object {
                properties = try readProperties(&reader)
            } else if reader.matches(key, "createdAt") {
                createdAt = try reader.textOrNull()
            } else if reader.matches(key, "updatedAt") {
                updatedAt = try reader.textOrNull()
            } else if reader.matches(key, "archivedAt") {
                archivedAt = try reader.textOrNull()
            } else if reader.matches(key, "archived"), try reader.peek() == .bool {
                archived = try reader.bool()
            } else {
                try reader.skip()
            }
        }
        guard let id, RecordReader.isId(id) else { return .failure(RecordFailure(id: nil, message: "the record has no usable id")) }
        func failure(_ message: String) -> Result<Record, RecordFailure> { .failure(RecordFailure(id: id, message: message)) }
        func instant(_ slice: JSONReader.Slice?) -> Timestamp? { slice.flatMap { Timestamp(property: reader.unescaped($0)) } }
        guard let createdAt = instant(createdAt) else { return failure("the record has no usable createdAt") }
        guard let updatedAt = instant(updatedAt) else { return failure("the record has no usable updatedAt") }
        guard let properties else { return failure("the record has no properties") }
        guard !properties.hasNUL else { return failure("a property's name holds a NUL character") }
        return .success(
            Record(
                type: type, id: id, createdAt: createdAt, updatedAt: updatedAt, archived: archived, archivedAt: instant(archivedAt),
                mergedIds: mergedIds(properties, of: id, reader), fields: typed(properties, reader), properties: properties.bson))
    }

    /// HubSpot's record ids are decimal digits.
    static func isId(_ text: String) -> Bool {
        (1...20).contains(text.utf8.count) && text.utf8.allSatisfy { $0 >= 48 && $0 <= 57 }
    }

    // MARK: Properties

    private struct Properties {
        var bson: [UInt8] = []
        /// Values of `wanted`, absent and null alike.
        var values: [JSONReader.Slice?]
        var hasNUL = false
    }

    private func readProperties(_ reader: inout JSONReader) throws(JSONError) -> Properties {
        var result = Properties(values: Array(repeating: nil, count: wanted.count))
        let start = reader
        var writer = BSONWriter(capacity: 4096)
        var seen: Set<UInt64> = []
        var mayRepeat = false
        try reader.enterObject()
        while let name = try reader.nextKey() {
            let value = try reader.textOrNull()
            if reader.holdsNUL(name) {
                result.hasNUL = true
                continue
            }
            if !seen.insert(hash(name, reader)).inserted { mayRepeat = true }
            if let index = index(of: name, reader) { result.values[index] = value }
            writer.append(name, value, of: reader)
        }
        result.bson = writer.finish()
        if mayRepeat { result.bson = try withoutRepetition(start) }
        return result
    }

    /// The rare way: a name came twice (or two names have one hash). The first place, the last value.
    private func withoutRepetition(_ start: JSONReader) throws(JSONError) -> [UInt8] {
        var reader = start
        var members: [(name: JSONReader.Slice, value: JSONReader.Slice?)] = []
        var places: [[UInt8]: Int] = [:]
        try reader.enterObject()
        while let name = try reader.nextKey() {
            let value = try reader.textOrNull()
            guard !reader.holdsNUL(name) else { continue }
            let text = reader.unescaped(name)
            if let place = places[text] {
                members[place].value = value
            } else {
                places[text] = members.count
                members.append((name, value))
            }
        }
        var writer = BSONWriter(capacity: 4096)
        for member in members { writer.append(member.name, member.value, of: reader) }
        return writer.finish()
    }

    /// FNV-1a of the name's characters.
    private func hash(_ name: JSONReader.Slice, _ reader: borrowing JSONReader) -> UInt64 {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        if name.isEscaped {
            for byte in reader.unescaped(name) { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        } else {
            let bytes = reader.bytes.span
            for index in name.range { hash = (hash ^ UInt64(bytes[index])) &* 0x100_0000_01B3 }
        }
        return hash
    }

    private func index(of name: JSONReader.Slice, _ reader: borrowing JSONReader) -> Int? {
        if name.isEscaped {
            let text = reader.unescaped(name)
            return wanted.firstIndex(of: text)
        }
        guard name.range.count < wantedByLength.count else { return nil }
        for index in wantedByLength[name.range.count] where reader.bytes[name.range].elementsEqual(wanted[index]) { return index }
        return nil
    }

    // MARK: What is made of them

    private func typed(_ properties: Properties, _ reader: borrowing JSONReader) -> [UInt8] {
        var writer = BSONWriter(capacity: 512)
        for (index, field) in fields.enumerated() {
            let value = properties.values[index]
            switch field.kind {
            case .string: writer.append(field.name, value, of: reader)
            case .number:
                if let value, let number = RecordReader.number(reader.unescaped(value)) {
                    writer.append(field.name, number)
                } else {
                    writer.appendNull(field.name)
                }
            case .date:
                let instant = value.flatMap { Timestamp(property: reader.unescaped($0)) }
                writer.append(field.name, date: instant?.milliseconds)
            }
        }
        return writer.finish()
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
    private func mergedIds(_ properties: Properties, of id: String, _ reader: borrowing JSONReader) -> [String] {
        var result: [String] = []
        for index in [mergedIndex, mergedVidsIndex] where index < properties.values.count {
            guard let slice = properties.values[index] else { continue }
            for part in reader.text(slice).split(whereSeparator: { $0 == ";" || $0 == " " }) {
                let merged = String(part.prefix { $0 != ":" })
                if merged != id, RecordReader.isId(merged), !result.contains(merged) { result.append(merged) }
            }
        }
        return result
    }
}
