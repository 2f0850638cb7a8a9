import Bytes
import HTTPTypes
import Hummingbird
import Model
import Store
import Sync

/// The event log: recent deliveries and what became of them, replay, and another try for records that were given up.
struct WebhookLogRoutes {
    let actions: AdminActions

    /// - Parameter group: `/api/admin/hubspot`
    func add(to group: RouterGroup<AppContext>) {
        group.get("webhooks") { request, _ in
            var query = Inbox.Query()
            query.limit = try request.integer("limit", 1...500) ?? 50
            query.type = try request.value("type", "one of contacts, companies, deals") { RecordType(rawValue: $0) }
            query.state = try request.value("state", "one of pending, done, failed") { Delivery.State(rawValue: $0) }
            query.hubspotId = try request.value("hubspotId", "a HubSpot id") { $0.utf8.allSatisfy { $0 >= 48 && $0 <= 57 } ? $0 : nil }
            query.before = request.text("after")
            let deliveries = try await actions.inbox.deliveries(query)
            return Response.json { $0.object { json in
                json.array("webhooks") { json in for delivery in deliveries { delivery.write(to: &json) } }
                json.object("paging") { json in
                    guard deliveries.count == query.limit, let last = deliveries.last else { return }
                    json.object("next") { json in
                        json.member("after", last.id)
                    }
                }
            } }
        }
        group.post("webhooks/replay") { request, _ in
            var query = Inbox.Query()
            query.id = request.text("id")
            query.since = try request.timestamp("since")
            query.until = try request.timestamp("until")
            guard query.id != nil || query.since != nil else {
                throw APIError(.badRequest, "bad_parameter", "Give id=<delivery>, or since=<instant> and perhaps until=<instant>")
            }
            let count = try await actions.replay(query)
            return Response.json(.accepted) { $0.object { json in
                json.member("success", true)
                json.member("replayed", count)
            } }
        }
        group.post("tasks/retry") { request, _ in
            let key = try request.value("record", "a record as contacts:151") { RecordKey($0) }
            let (records, deliveries) = if let key { try await actions.retry(key) } else { try await actions.retryAll() }
            return Response.json(.accepted) { $0.object { json in
                json.member("success", true)
                json.member("records", records)
                json.member("deliveries", deliveries)
            } }
        }
        group.get("failures") { request, _ in
            let limit = try request.integer("limit", 1...500) ?? 50
            let type = try request.value("type", "one of contacts, companies, deals") { RecordType(rawValue: $0) }
            var failures: [(RecordType, BSONDocument)] = []
            for type in type.map({ [$0] }) ?? RecordType.allCases {
                failures += try await actions.mirror.failures(type, limit: limit).map { (type, $0) }
            }
            return Response.json { $0.object { json in
                json.array("failures") { json in for (type, document) in failures { WebhookLogRoutes.write(document, type, to: &json) } }
            } }
        }
    }

    private static func write(_ document: BSONDocument, _ type: RecordType, to json: inout JSONWriter) {
        func instant(_ field: String) -> Timestamp? { document[field]?.milliseconds.map(Timestamp.init(milliseconds:)) }
        json.object { json in
            json.member("type", type.rawValue)
            json.member("hubspotId", document["_id"]?.string)
            json.member("name", type.name(of: document))
            json.member("syncError", document["syncError"]?.string)
            json.member("lastSyncedAt", instant("lastSyncedAt"))
            json.member("updatedAt", instant("hubspotUpdatedAt"))
        }
    }
}

extension Delivery {
    fileprivate func write(to json: inout JSONWriter) {
        json.object { json in
            json.member("id", id)
            json.member("receivedAt", receivedAt)
            json.member("signature", signature)
            json.member("state", state.rawValue)
            json.member("finishedAt", finishedAt)
            json.array("failed") { json in for key in failed { json.string(key.description) } }
            json.array("events") { json in for event in events { event.write(to: &json) } }
        }
    }
}

extension WebhookEvent {
    fileprivate func write(to json: inout JSONWriter) {
        json.object { json in
            json.member("subscriptionType", subscriptionType)
            json.member("type", type?.rawValue)
            json.member("objectId", objectId)
            json.member("occurredAt", occurredAt)
            if let eventId {
                json.member("eventId", eventId)
            }
            if let attemptNumber {
                json.member("attemptNumber", attemptNumber)
            }
            if let propertyName {
                json.member("propertyName", propertyName)
            }
            if !mergedIds.isEmpty {
                json.array("mergedObjectIds") { json in for id in mergedIds { json.string(id) } }
            }
            if let newId {
                json.member("newObjectId", newId)
            }
            if let from, let to {
                json.member("from", from.description)
                json.member("to", to.description)
            }
        }
    }
}
