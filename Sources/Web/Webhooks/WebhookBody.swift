import Bytes
import Model

/// Reads the body of a webhook request: an array of events, each read as far as the mirror needs it.
///
/// - Source: platform page, sections 2.3 to 2.5. Fields that are missing or of another JSON type are survived.
enum WebhookBody {
    /// - Throws: `JSONError` when the body is not a JSON array of objects.
    static func events(in body: [UInt8]) throws(JSONError) -> [WebhookEvent] {
        var json = try JSONReader(body)
        var events: [WebhookEvent] = []
        try json.enterArray()
        while try json.nextElement() { events.append(try event(&json)) }
        try json.finish()
        return events
    }

    private static func event(_ json: inout JSONReader) throws(JSONError) -> WebhookEvent {
        var event = WebhookEvent(subscriptionType: "")
        var eventType: String?
        var objectTypeId: String?
        var associationType: String?
        var fromTypeId: String?
        var toTypeId: String?
        var fromId: String?
        var toId: String?
        try json.enterObject()
        while let key = try json.nextKey() {
            if json.matches(key, "subscriptionType") {
                event.subscriptionType = try json.stringOrSkip() ?? ""
            } else if json.matches(key, "eventType") {
                eventType = try json.stringOrSkip()
            } else if json.matches(key, "objectId") {
                event.objectId = try id(&json)
            } else if json.matches(key, "occurredAt") {
                event.occurredAt = try json.integerOrSkip().flatMap { instant($0) }
            } else if json.matches(key, "eventId") {
                event.eventId = try json.integerOrSkip()
            } else if json.matches(key, "subscriptionId") {
                event.subscriptionId = try json.integerOrSkip()
            } else if json.matches(key, "portalId") {
                event.portalId = try json.integerOrSkip()
            } else if json.matches(key, "attemptNumber") {
                event.attemptNumber = try json.integerOrSkip()
            } else if json.matches(key, "propertyName") {
                event.propertyName = try json.stringOrSkip()
            } else if json.matches(key, "objectTypeId") {
                objectTypeId = try json.stringOrSkip()
            } else if json.matches(key, "primaryObjectId") {
                event.primaryId = try id(&json)
            } else if json.matches(key, "mergedObjectIds") {
                event.mergedIds = try ids(&json)
            } else if json.matches(key, "newObjectId") {
                event.newId = try id(&json)
            } else if json.matches(key, "associationType") {
                associationType = try json.stringOrSkip()
            } else if json.matches(key, "fromObjectTypeId") {
                fromTypeId = try json.stringOrSkip()
            } else if json.matches(key, "toObjectTypeId") {
                toTypeId = try json.stringOrSkip()
            } else if json.matches(key, "fromObjectId") {
                fromId = try id(&json)
            } else if json.matches(key, "toObjectId") {
                toId = try id(&json)
            } else {
                try json.skip()
            }
        }
        if event.subscriptionType.isEmpty { event.subscriptionType = eventType ?? "" }
        let parts = event.subscriptionType.split(separator: ".", maxSplits: 1)
        if parts.count == 2 {
            event.verb = WebhookEvent.Verb(rawValue: String(parts[1]))
            event.type = parts[0] == "object" ? type(ofId: objectTypeId) : RecordType.allCases.first { $0.singular == parts[0] }
        }
        if event.verb == .associationChange {
            let ends = associationType.map(ends) ?? (nil, nil)
            let fromType = ends.0 ?? type(ofId: fromTypeId) ?? event.type
            let toType = ends.1 ?? type(ofId: toTypeId)
            if let fromType, let fromId { event.from = RecordKey(fromType, fromId) }
            if let toType, let toId { event.to = RecordKey(toType, toId) }
            event.type = event.type ?? fromType
            event.objectId = event.objectId ?? fromId
        }
        return event
    }

    private static func type(ofId id: String?) -> RecordType? {
        id.flatMap { id in RecordType.allCases.first { $0.objectTypeId == id } }
    }

    /// `CONTACT_TO_COMPANY`: both types, nil for one that is not mirrored.
    private static func ends(_ text: String) -> (RecordType?, RecordType?) {
        let lower = text.lowercased()
        func type(_ name: some StringProtocol) -> RecordType? { RecordType.allCases.first { $0.singular == name } }
        for from in RecordType.allCases where lower.hasPrefix(from.singular + "_to_") {
            return (from, type(lower.dropFirst(from.singular.count + 4)))
        }
        for to in RecordType.allCases where lower.hasSuffix("_to_" + to.singular) { return (nil, to) }
        return (nil, nil)
    }

    /// A record id: a positive number, or a string of digits.
    private static func id(_ json: inout JSONReader) throws(JSONError) -> String? {
        try json.integerOrSkip().flatMap { $0 > 0 ? String($0) : nil }
    }

    private static func ids(_ json: inout JSONReader) throws(JSONError) -> [String] {
        guard try json.peek() == .array else { return try id(&json).map { [$0] } ?? [] }
        var ids: [String] = []
        try json.enterArray()
        while try json.nextElement() { if let id = try id(&json) { ids.append(id) } }
        return ids
    }

    /// What a BSON date and JavaScript can hold.
    private static func instant(_ milliseconds: Int64) -> Timestamp? {
        (0...8_640_000_000_000_000).contains(milliseconds) ? Timestamp(milliseconds: milliseconds) : nil
    }
}
