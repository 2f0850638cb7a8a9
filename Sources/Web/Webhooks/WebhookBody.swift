import Bytes
package import Model

/// Reads the body of a webhook request: an array of events, each read as far as the mirror needs it.
///
/// - Source: platform page, sections 2.3 to 2.5. Fields that are missing or of another JSON type are survived.
package enum WebhookBody {
    /// Events of one body, the ids of its merges counted in: a hundred times what HubSpot sends, and what one document of the inbox
    /// holds. 16 MB of `{}` would be five million events.
    static let eventsMax = 10_000
    /// Bytes that are kept of a text. HubSpot's types and the names of properties are far shorter.
    static let textMax = 256

    /// The body has more than `eventsMax` events.
    struct TooManyEvents: Error {}

    /// - Throws: `JSONError` when the body is not a JSON array of objects; `TooManyEvents`.
    package static func events(in body: [UInt8]) throws -> [WebhookEvent] {
        var json = JSONReader(body)
        var events: [WebhookEvent] = []
        var subject = Subject("")
        var weight = 0
        try json.enterArray()
        while try json.nextElement() {
            events.append(WebhookEvent(subscriptionType: ""))
            try read(&json, &subject, into: &events[events.count - 1])
            weight += events[events.count - 1].weight
            guard weight <= eventsMax else { throw TooManyEvents() }
        }
        try json.finish()
        return events
    }

    /// What a subscription type says.
    private struct Subject {
        let subscriptionType: String
        let verb: WebhookEvent.Verb?
        /// nil for one that is not mirrored, and where the event says it itself.
        let type: RecordType?
        /// The event says its type itself.
        let isGeneric: Bool

        init(_ text: String) {
            subscriptionType = text
            let dot = text.utf8.firstIndex(of: UInt8(ascii: "."))
            verb = dot.flatMap { WebhookEvent.Verb(rawValue: String(text[text.utf8.index(after: $0)...])) }
            let subject = dot.map { text[..<$0] }
            isGeneric = subject == "object"
            type = RecordType.allCases.first { subject == $0.singular[...] }
        }
    }

    /// - Parameter subject: the last event's: most events of a body have the same.
    private static func read(_ json: inout JSONReader, _ subject: inout Subject, into event: inout WebhookEvent) throws {
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
                event.subscriptionType = try text(&json, likely: subject.subscriptionType) ?? ""
            } else if json.matches(key, "eventType") {
                eventType = try text(&json)
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
                event.propertyName = try text(&json)
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
        if event.subscriptionType != subject.subscriptionType { subject = Subject(event.subscriptionType) }
        event.verb = subject.verb
        event.type = subject.isGeneric ? type(ofId: objectTypeId) : subject.type
        if event.verb == .associationChange {
            let ends = associationType.map(ends) ?? (nil, nil)
            let fromType = ends.0 ?? type(ofId: fromTypeId) ?? event.type
            let toType = ends.1 ?? type(ofId: toTypeId)
            if let fromType, let fromId { event.from = RecordKey(fromType, fromId) }
            if let toType, let toId { event.to = RecordKey(toType, toId) }
            event.type = event.type ?? fromType
            event.objectId = event.objectId ?? fromId
        }
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

    private static func ids(_ json: inout JSONReader) throws -> [String] {
        guard try json.peek() == .array else { return try id(&json).map { [$0] } ?? [] }
        var ids: [String] = []
        try json.enterArray()
        while try json.nextElement() {
            guard let id = try id(&json) else { continue }
            guard ids.count < eventsMax else { throw TooManyEvents() }
            ids.append(id)
        }
        return ids
    }

    /// A text as far as it is kept; a character that the cut goes through becomes U+FFFD.
    private static func text(_ json: inout JSONReader, likely known: String? = nil) throws(JSONError) -> String? {
        try json.stringOrSkip(likely: known).map { $0.utf8.count <= textMax ? $0 : String(decoding: $0.utf8.prefix(textMax), as: UTF8.self) }
    }

    /// What a BSON date and JavaScript can hold.
    private static func instant(_ milliseconds: Int64) -> Timestamp? {
        (0...8_640_000_000_000_000).contains(milliseconds) ? Timestamp(milliseconds: milliseconds) : nil
    }
}

extension WebhookEvent {
    /// Itself and each id that it brings along beside its own few.
    var weight: Int { 1 + mergedIds.count }
}
