import Bytes
import HTTPTypes
import Hummingbird
import Model
import Store
import Sync

/// The event log: recent deliveries and what became of them, replay, and another try for records that were given up.
struct WebhookLogRoutes {
    let inbox: Inbox
    let mirror: MirrorReader
    let pool: Pool

    /// - Parameter group: `/api/admin/hubspot`
    func add(to group: RouterGroup<AppContext>) {
        group.get("webhooks") { request, _ in
            var query = Inbox.Query()
            query.limit = try request.integer("limit", 1...500) ?? 50
            query.type = try request.value("type", "one of contacts, companies, deals") { RecordType(rawValue: $0) }
            query.state = try request.value("state", "one of pending, done, failed") { Delivery.State(rawValue: $0) }
            query.hubspotId = try request.value("hubspotId", "a HubSpot id") { $0.utf8.allSatisfy { $0 >= 48 && $0 <= 57 } ? $0 : nil }
            query.before = request.text("after")
            let deliveries = try await inbox.deliveries(query)
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
            let count = try await inbox.replay(query)
            guard count > 0 || query.id == nil else { throw APIError(.notFound, "unknown_delivery", "There is no delivery with that id") }
            await pool.lookIntoInbox()
            return Response.json(.accepted) { $0.object { json in
                json.member("success", true)
                json.member("replayed", count)
            } }
        }
        group.post("tasks/retry") { _, _ in
            let keys = try await mirror.failedRecords(limit: Pool.recordsMax)
            let deliveries = try await inbox.replayFailed()
            await pool.refresh(keys)
            await pool.lookIntoInbox()
            return Response.json(.accepted) { $0.object { json in
                json.member("success", true)
                json.member("records", keys.count)
                json.member("deliveries", deliveries)
            } }
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
