import Bytes
public import Model

extension Delivery {
    /// The inbox document. `records` and `types` are there to be searched by.
    package func document(owner: String, leaseUntil: Timestamp) -> [UInt8] {
        var writer = BSONWriter(capacity: 256 + events.count * 160)
        writer.append("_id", id)
        writer.append("receivedAt", date: receivedAt.milliseconds)
        writer.append("signature", signature)
        writer.append("state", state.rawValue)
        writer.append("owner", owner)
        writer.append("leaseUntil", date: leaseUntil.milliseconds)
        var keys: [RecordKey] = []
        keys.reserveCapacity(events.count)
        for index in events.indices { events[index].addKeys(to: &keys) }
        keys.sort()
        writer.append("types", array: RecordType.allCases.sorted().filter { type in keys.contains { $0.type == type } }.map(\.rawValue))
        writer.array("records") { array in
            var count = 0
            for index in keys.indices where index == 0 || keys[index] != keys[index - 1] {
                array.append(at: count, prefix: keys[index].type.keyPrefix, keys[index].id)
                count += 1
            }
        }
        writer.array("events") { array in
            for index in events.indices { array.document(at: index) { events[index].write(to: &$0) } }
        }
        return writer.finish()
    }

    init(document: BSONDocument) {
        var events: [WebhookEvent] = []
        for element in document.elements where element.isNamed("events") {
            events = element.document.elements.map { WebhookEvent(element: $0) }
        }
        self.init(
            id: document["_id"]?.string ?? "", receivedAt: Timestamp(milliseconds: document["receivedAt"]?.milliseconds ?? 0),
            signature: document["signature"]?.string ?? "", events: events)
        state = document["state"]?.string.flatMap(State.init) ?? .pending
        finishedAt = document["finishedAt"]?.milliseconds.map(Timestamp.init(milliseconds:))
        failed = document["failed"]?.array?.compactMap { $0.string.flatMap { RecordKey($0) } } ?? []
    }
}

extension WebhookEvent {
    /// Every record of the mirror that the event is about.
    public var keys: Set<RecordKey> {
        var keys: [RecordKey] = []
        addKeys(to: &keys)
        return Set(keys)
    }

    /// One may come twice.
    fileprivate func addKeys(to keys: inout [RecordKey]) {
        if let type, verb != nil {
            if let objectId { keys.append(RecordKey(type, objectId)) }
            if let primaryId { keys.append(RecordKey(type, primaryId)) }
            if let newId { keys.append(RecordKey(type, newId)) }
            for id in mergedIds { keys.append(RecordKey(type, id)) }
        }
        if let from { keys.append(from) }
        if let to { keys.append(to) }
    }

    fileprivate func write(to writer: inout BSONWriter) {
        writer.append("subscriptionType", subscriptionType)
        if let type { writer.append("type", type.rawValue) }
        if let verb { writer.append("verb", verb.rawValue) }
        if let objectId { writer.append("objectId", objectId) }
        if let occurredAt { writer.append("occurredAt", date: occurredAt.milliseconds) }
        if let eventId { writer.append("eventId", eventId) }
        if let subscriptionId { writer.append("subscriptionId", subscriptionId) }
        if let portalId { writer.append("portalId", portalId) }
        if isForeign { writer.append("isForeign", true) }
        if let attemptNumber { writer.append("attemptNumber", attemptNumber) }
        if let propertyName { writer.append("propertyName", propertyName) }
        if let primaryId { writer.append("primaryObjectId", primaryId) }
        if !mergedIds.isEmpty { writer.append("mergedObjectIds", array: mergedIds) }
        if let newId { writer.append("newObjectId", newId) }
        if let from { writer.append("from", from.description) }
        if let to { writer.append("to", to.description) }
    }

    init(element: BSONElement) {
        self.init(subscriptionType: "")
        for member in element.document.elements {
            switch member.name {
            case "subscriptionType": subscriptionType = member.string ?? ""
            case "type": type = member.string.flatMap(RecordType.init)
            case "verb": verb = member.string.flatMap(Verb.init)
            case "objectId": objectId = member.string
            case "occurredAt": occurredAt = member.milliseconds.map(Timestamp.init(milliseconds:))
            case "eventId": eventId = member.integer
            case "subscriptionId": subscriptionId = member.integer
            case "portalId": portalId = member.integer
            case "isForeign": isForeign = member.bool ?? false
            case "attemptNumber": attemptNumber = member.integer
            case "propertyName": propertyName = member.string
            case "primaryObjectId": primaryId = member.string
            case "mergedObjectIds": mergedIds = member.document.elements.compactMap(\.string)
            case "newObjectId": newId = member.string
            case "from": from = member.string.flatMap { RecordKey($0) }
            case "to": to = member.string.flatMap { RecordKey($0) }
            default: break
            }
        }
    }
}
