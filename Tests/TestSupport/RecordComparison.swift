import Foundation
import Model

/// Compares single records of one type.
struct RecordComparison {
    /// What the simulator says of one record; ranges of its page.
    struct Truth: Sendable {
        let id: String
        fileprivate let properties: Range<Int>
        fileprivate let createdAt: Range<Int>
        fileprivate let updatedAt: Range<Int>
        let archived: Bool
        fileprivate let archivedAt: Range<Int>?
        fileprivate let mergedIds: [String]
        fileprivate let associatedIds: [String: [String]]
    }

    private let fields: [TypedField]
    private var members: [(name: Range<Int>, value: JSONCursor.Text?)] = []
    /// Where a typed field's property stood in the record before: mostly where it stands in the next.
    private var places: [Int]

    private let absentIsNull: Bool
    private let withAssociations: Bool

    init(_ type: RecordType, absentIsNull: Bool = false, withAssociations: Bool = true) {
        self.withAssociations = withAssociations
        self.absentIsNull = absentIsNull
        fields = type.typedFields
        places = Array(repeating: 0, count: fields.count)
    }

    /// The records of a page of the truth, and where the next page begins.
    static func index(_ page: UnsafeBufferPointer<UInt8>) throws -> (truths: [Truth], next: String?) {
        var json = JSONCursor(page)
        var truths: [Truth] = []
        try json.expect("{\"results\":[")
        while !json.takes(UInt8(ascii: "]")) {
            if !truths.isEmpty { try json.expect(",") }
            try json.expect("{\"id\":")
            let id = json.string(try json.text())
            try json.expect(",\"properties\":")
            let start = json.position
            try json.expect("{")
            while !json.takes(UInt8(ascii: "}")) {
                _ = json.takes(UInt8(ascii: ","))
                _ = try json.text()
                try json.expect(":")
                _ = try json.textOrNull()
            }
            let properties = start..<json.position
            try json.expect(",\"createdAt\":")
            let createdAt = try json.text().range
            try json.expect(",\"updatedAt\":")
            let updatedAt = try json.text().range
            try json.expect(",\"archived\":")
            let archived = json.takes(UInt8(ascii: "t"))
            if archived { try json.expect("rue") } else { try json.expect("false") }
            try json.expect(",\"")
            var archivedAt: Range<Int>?
            if json.takes(UInt8(ascii: "a")) {
                try json.expect("rchivedAt\":")
                archivedAt = try json.text().range
                try json.expect(",\"")
            }
            try json.expect("mergedIds\":")
            let mergedIds = try json.texts()
            try json.expect(",\"associatedIds\":{")
            var associatedIds: [String: [String]] = [:]
            while !json.takes(UInt8(ascii: "}")) {
                _ = json.takes(UInt8(ascii: ","))
                let name = json.string(try json.text())
                try json.expect(":")
                associatedIds[name] = try json.texts()
            }
            try json.expect(",\"url\":")
            _ = try json.text()
            try json.expect("}")
            truths.append(
                Truth(
                    id: id, properties: properties, createdAt: createdAt, updatedAt: updatedAt, archived: archived,
                    archivedAt: archivedAt, mergedIds: mergedIds, associatedIds: associatedIds))
        }
        guard json.takes(UInt8(ascii: ",")) else { return (truths, nil) }
        try json.expect("\"after\":")
        return (truths, json.string(try json.text()))
    }

    /// - Parameter differ: told of each difference.
    /// - Returns: how many properties were compared.
    mutating func compare(
        _ truth: Truth, _ page: UnsafeBufferPointer<UInt8>, _ document: UnsafeBufferPointer<UInt8>, differ: (String) -> Void
    ) throws -> Int {
        let json = JSONCursor(page)
        try readMembers(truth, page)
        func instant(_ range: Range<Int>) -> Int64? { Timestamp(iso8601: page.span.extracting(range))?.milliseconds }
        func check(_ name: String, _ isEqual: Bool, _ member: BSONCursor.Member, _ expected: @autoclosure () -> String) {
            if !isEqual { differ("\(name) is \(member.shown), should be \(expected())") }
        }
        var missing: Set = [
            "_id", "hubspotId", "properties", "associations", "archived", "archivedAt", "mergedIds", "hubspotCreatedAt",
            "hubspotUpdatedAt", "lastSyncedAt", "syncStatus", "syncError",
        ]
        missing.formUnion(fields.map(\.name))
        var cursor = BSONCursor(document)
        while let member = cursor.next() {
            let name = String(decoding: member.name, as: UTF8.self)
            missing.remove(name)
            switch name {
            case "_id", "hubspotId": check(name, member.text.map { $0.elementsEqual(truth.id.utf8) } ?? false, member, truth.id)
            case "properties":
                if member.type == BSONCursor.Member.document {
                    compareProperties(member.value, json, differ)
                } else {
                    differ("properties is no document")
                }
            case "archived": check(name, member.bool == truth.archived, member, "\(truth.archived)")
            case "archivedAt":
                let expected = truth.archivedAt.flatMap(instant)
                // Whoever found the record missing does not know when it was deleted.
                check(name, expected == nil ? member.isNull : member.isNull || member.date == expected, member, "\(expected ?? 0)")
            case "mergedIds":
                let ids = Set(texts(of: member))
                check(name, ids == Set(truth.mergedIds), member, "\(truth.mergedIds), holds \(ids.sorted())")
            case "associations":
                // Of an archived record HubSpot has none to show.
                if withAssociations, !truth.archived, member.type == BSONCursor.Member.document {
                    var types = BSONCursor(member.value)
                    while let type = types.next() {
                        let name = String(decoding: type.name, as: UTF8.self)
                        let ids = Set(texts(of: type))
                        let expected = Set(truth.associatedIds[name] ?? [])
                        if ids != expected { differ("associations.\(name) is \(ids.sorted()), should be \(expected.sorted())") }
                    }
                }
            case "hubspotCreatedAt": check(name, member.date == instant(truth.createdAt), member, "\(instant(truth.createdAt) ?? 0)")
            case "hubspotUpdatedAt": check(name, member.date == instant(truth.updatedAt), member, "\(instant(truth.updatedAt) ?? 0)")
            case "lastSyncedAt": check(name, member.date != nil, member, "a date")
            case "syncStatus": check(name, member.text.map { $0.elementsEqual("synced".utf8) } ?? false, member, "synced")
            case "syncError": check(name, member.isNull, member, "null")
            default:
                if let index = fields.firstIndex(where: { $0.name == name }) { compareTyped(index, member, json, differ) }
            }
        }
        for name in missing.sorted() { differ("\(name) is missing") }
        return members.count
    }

    private func texts(of member: BSONCursor.Member) -> [String] {
        guard member.type == BSONCursor.Member.array else { return [] }
        var texts: [String] = []
        var elements = BSONCursor(member.value)
        while let element = elements.next() { texts.append(element.text.map { String(decoding: $0, as: UTF8.self) } ?? "?") }
        return texts
    }

    private mutating func readMembers(_ truth: Truth, _ page: UnsafeBufferPointer<UInt8>) throws {
        members.removeAll(keepingCapacity: true)
        var json = JSONCursor(UnsafeBufferPointer(rebasing: page[..<truth.properties.upperBound]), at: truth.properties.lowerBound)
        try json.expect("{")
        while !json.takes(UInt8(ascii: "}")) {
            _ = json.takes(UInt8(ascii: ","))
            let name = try json.text().range
            try json.expect(":")
            members.append((name, try json.textOrNull()))
        }
    }

    private func compareProperties(_ document: UnsafeBufferPointer<UInt8>, _ json: JSONCursor, _ differ: (String) -> Void) {
        var cursor = BSONCursor(document)
        var place = 0
        var matched = 0
        while let member = cursor.next() {
            // Both sides mostly have the same order.
            let isHere = place < members.count && isEqual(member.name, members[place].name, json)
            guard let index = isHere ? place : members.firstIndex(where: { isEqual(member.name, $0.name, json) }) else {
                differ("properties.\(String(decoding: member.name, as: UTF8.self)) is not in HubSpot")
                continue
            }
            place = index + 1
            matched += 1
            if !isEqual(member, members[index].value, json) {
                differ("properties.\(String(decoding: member.name, as: UTF8.self)) is \(member.shown), should be \(shown(members[index].value, json))")
            }
        }
        // A name that stands twice would count twice.
        let absent = members.count - matched
        let nulls = absentIsNull ? members.count { $0.value == nil } : 0
        if absent < 0 || absent > nulls { differ("\(members.count) properties in HubSpot, \(matched) of them in the mirror") }
    }

    private mutating func compareTyped(_ index: Int, _ member: BSONCursor.Member, _ json: JSONCursor, _ differ: (String) -> Void) {
        let field = fields[index]
        let name = Array(field.property.utf8)
        func stands(at place: Int) -> Bool {
            place < members.count && name.withUnsafeBufferPointer { isEqual($0, members[place].name, json) }
        }
        if !stands(at: places[index]) { places[index] = members.indices.first(where: stands) ?? 0 }
        guard stands(at: places[index]) else { return differ("HubSpot has no property \(field.property)") }
        let value = members[places[index]].value
        let isRight: Bool
        switch (field.kind, value) {
        case (_, nil): isRight = member.isNull
        case (.string, let value?): isRight = isEqual(member, value, json)
        case (.number, let value?):
            let text = json.string(value)
            let number = text.utf8.allSatisfy { "0123456789+-.eE".utf8.contains($0) } ? Double(text) : nil
            isRight = number.map { $0.isFinite ? member.double == $0 : member.isNull } ?? member.isNull
        case (.date, let value?):
            let instant = Timestamp(property: json.unescaped(value).span)
            isRight = instant.map { member.date == $0.milliseconds } ?? member.isNull
        }
        if !isRight { differ("\(field.name) is \(member.shown), HubSpot's \(field.property) is \(shown(value, json))") }
    }

    private func isEqual(_ name: UnsafeBufferPointer<UInt8>, _ range: Range<Int>, _ json: JSONCursor) -> Bool {
        name.count == range.count && (name.isEmpty || memcmp(name.baseAddress!, json.bytes.baseAddress! + range.lowerBound, name.count) == 0)
    }

    private func isEqual(_ member: BSONCursor.Member, _ value: JSONCursor.Text?, _ json: JSONCursor) -> Bool {
        guard let value else { return member.isNull }
        guard let text = member.text else { return false }
        return value.isEscaped ? text.elementsEqual(json.unescaped(value)) : isEqual(text, value.range, json)
    }

    private func shown(_ value: JSONCursor.Text?, _ json: JSONCursor) -> String {
        value.map { "\"\(json.string($0).prefix(60))\"" } ?? "null"
    }
}
