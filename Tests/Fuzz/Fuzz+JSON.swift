import Bytes
import Foundation
import Model

/// HubSpot's JSON: webhook bodies and record pages, against Foundation's parser.
extension Fuzz {
    /// What Foundation reads in text that both sides could accept; nil where it refuses.
    private static func reference(_ body: [UInt8]) -> Any? {
        try? JSONSerialization.jsonObject(with: Data(body), options: .fragmentsAllowed)
    }

    @Sendable static func webhookBody(_ body: [UInt8]) {
        guard let events = try? WebhookBody.events(in: body) else { return }
        guard let reference = reference(body) else { return check(isForgivable(body), "only ours reads this") }
        guard let objects = reference as? [[String: Any]] else { fail("read as events, and no array of objects") }
        check(objects.count == events.count, "\(events.count) events of \(objects.count) objects")
        // Whole numbers with a point or an exponent are no ids here; in Foundation they are whole.
        let isUnusual = zip(body, body.dropFirst()).contains { (48...57).contains($0) && [46, 69, 101].contains($1) }
        for (event, object) in zip(events, objects) {
            // A name that comes twice has its last value here; Foundation does not say which it takes.
            if hasRepetition(body) { continue }
            check(event.eventId == integer(object["eventId"]) || event.eventId == nil && isUnusual, "eventId")
            check(event.portalId == integer(object["portalId"]) || event.portalId == nil && isUnusual, "portalId")
            let id = integer(object["objectId"]).flatMap { $0 > 0 ? String($0) : nil } ?? fromId(event, object)
            check(event.objectId == id || event.objectId == nil && isUnusual, "objectId")
            if let type = object["subscriptionType"] as? String, !type.isEmpty {
                check(event.subscriptionType.utf8.elementsEqual(cut(type).utf8), "subscriptionType")
            }
            check(event.propertyName.map { Array($0.utf8) } == (object["propertyName"] as? String).map { Array(cut($0).utf8) }, "propertyName")
            check(event.subscriptionType.utf8.count <= 3 * WebhookBody.textMax, "a text is kept whole")
        }
    }

    /// An association's record has its id elsewhere.
    private static func fromId(_ event: WebhookEvent, _ object: [String: Any]) -> String? {
        event.verb == .associationChange ? integer(object["fromObjectId"]).flatMap { $0 > 0 ? String($0) : nil } : nil
    }

    private static func cut(_ text: String) -> String {
        text.utf8.count <= WebhookBody.textMax ? text : String(decoding: text.utf8.prefix(WebhookBody.textMax), as: UTF8.self)
    }

    /// A whole number, or one as text; Foundation has lost how it was written, so the value alone counts.
    private static func integer(_ value: Any?) -> Int64? {
        if let text = value as? String { return Int64(decimal: text.utf8) }
        guard let number = value as? NSNumber, !(value is Bool) || CFNumberIsNumber(number) else { return nil }
        return Int64(exactly: number)
    }

    private static func CFNumberIsNumber(_ number: NSNumber) -> Bool { number.objCType.pointee != CChar(UInt8(ascii: "c")) }

    @Sendable static func records(_ body: [UInt8]) {
        for type in RecordType.allCases {
            guard let answer = try? Answer(body, RecordReader(type)) else { continue }
            let objects = ((reference(body) as? [String: Any])?["results"] as? [Any]).map { hasRepetition(body) ? nil : $0 } ?? nil
            for record in answer.records {
                check(RecordReader.isId(record.id), "an id that is none")
                let properties = checkedDocument(record.properties), fields = checkedDocument(record.fields)
                let names = fields.map { String(decoding: $0.key, as: UTF8.self) }
                check(Set(properties.map { $0.key }).count == properties.count, "a property twice")
                check(written(record.properties).elementsEqual(properties) { $0.key == $1.key && $0.value == $1.value }, "the JSON of it differs")
                check(names == type.typedFields.map { $0.name }, "other fields than the type's")
                guard let objects else { continue }
                let candidates = objects.compactMap { $0 as? [String: Any] }.filter { $0["id"] as? String == record.id }
                guard candidates.count == 1, let expected = candidates[0]["properties"] as? [String: Any] else { continue }
                check(properties.count == expected.count, "\(properties.count) properties of \(expected.count)")
                for (key, value) in properties {
                    guard let other = expected[String(decoding: key, as: UTF8.self)] else { fail("a property that is not there") }
                    if let text = other as? String { check(value == Array(text.utf8), "a value differs") }
                    if other is NSNull { check(value == nil, "null became a value") }
                }
            }
        }
    }

    /// The elements of a document of texts, numbers and dates, read by the specification and nothing else.
    private static func checkedDocument(_ bytes: [UInt8]) -> [(key: [UInt8], value: [UInt8]?)] {
        func int32(_ at: Int) -> Int { Int(Int32(truncatingIfNeeded: (0..<4).reduce(0) { $0 | Int(bytes[at + $1]) << (8 * $1) })) }
        check(bytes.count >= 5 && int32(0) == bytes.count && bytes.last == 0, "a document's length is wrong")
        var elements: [([UInt8], [UInt8]?)] = []
        var place = 4
        while place < bytes.count - 1 {
            let type = bytes[place]
            guard let end = bytes[(place + 1)...].firstIndex(of: 0) else { fail("a name does not end") }
            let key = Array(bytes[(place + 1)..<end])
            check(String(validating: key, as: UTF8.self) != nil, "a name is not UTF-8")
            place = end + 1
            switch type {
            case 0x02:
                let length = int32(place)
                check(length > 0 && place + 4 + length < bytes.count && bytes[place + 3 + length] == 0, "a text's length is wrong")
                let text = Array(bytes[(place + 4)..<(place + 3 + length)])
                check(String(validating: text, as: UTF8.self) != nil, "a text is not UTF-8")
                elements.append((key, text))
                place += 4 + length
            case 0x01, 0x09:
                elements.append((key, []))
                place += 8
            case 0x0A: elements.append((key, nil))
            default: fail("an element of type \(type)")
            }
        }
        check(place == bytes.count - 1, "an element goes beyond its document")
        return elements
    }

    /// A document of texts and nulls, written as JSON and read again.
    private static func written(_ document: [UInt8]) -> [(key: [UInt8], value: [UInt8]?)] {
        var json = JSONWriter(capacity: 1)
        json.object { $0.members(of: BSONDocument(bytes: document)) }
        var members: [(key: [UInt8], value: [UInt8]?)] = []
        do {
            var reader = JSONReader(json.finish())
            try reader.enterObject()
            while let key = try reader.nextKey() { members.append((reader.unescaped(key), try reader.textOrNull().map(reader.unescaped))) }
            try reader.finish()
        } catch { fail("what is written is no JSON: \(error)") }
        return members
    }

    /// A document as a server might send it, or not: it is read to its first damage, and what is written of it is JSON.
    @Sendable static func document(_ input: [UInt8]) {
        let document = BSONDocument(bytes: input)
        var names: [String] = []
        for element in document.elements {
            names.append(element.name)
            _ = element.value
        }
        var json = JSONWriter(capacity: 1)
        json.object { $0.members(of: document) }
        let text = json.finish()
        // Names and texts are copied as they are.
        guard String(validating: text, as: UTF8.self) != nil else { return }
        do {
            var reader = JSONReader(text)
            var written: [String] = []
            try reader.enterObject()
            while let key = try reader.nextKey() {
                written.append(reader.text(key))
                try reader.skip()
            }
            try reader.finish()
            check(written == names, "other members than the document's")
        } catch {
            check(error.kind == .depth, "what is written is no JSON: \(error)")
        }
    }

    /// What our reader accepts and Foundation does not, for reasons that are Foundation's: numbers beyond a double, deep nesting, and escapes
    /// of half a character.
    private static func isForgivable(_ body: [UInt8]) -> Bool {
        if body.indices.contains(where: { body[$0...].starts(with: [92, 117, 100]) || body[$0...].starts(with: [92, 117, 68]) }) { return true }
        let text = body.filter { $0 != UInt8(ascii: " ") }
        let longestNumber = text.split { !(48...57).contains($0) && ![43, 45, 46, 69, 101].contains($0) }.map(\.count).max() ?? 0
        return longestNumber > 15 || text.contains { $0 == 69 || $0 == 101 } && text.contains { (48...57).contains($0) } || body.count { $0 == 91 || $0 == 123 } > 100
    }

    /// Whether a member's name may come twice in one object. Coarse: in all of the text.
    private static func hasRepetition(_ body: [UInt8]) -> Bool {
        var json = JSONReader(body)
        func walk() throws -> Bool {
            switch try json.peek() {
            case .object:
                var names: Set<[UInt8]> = []
                try json.enterObject()
                while let key = try json.nextKey() {
                    // Foundation's dictionaries hold names as text, of which some that differ in bytes are equal.
                    guard names.insert(Array(json.text(key).decomposedStringWithCanonicalMapping.utf8)).inserted else { return true }
                    if try walk() { return true }
                }
            case .array:
                try json.enterArray()
                while try json.nextElement() { if try walk() { return true } }
            default: try json.skip()
            }
            return false
        }
        return (try? walk()) ?? true
    }
}
