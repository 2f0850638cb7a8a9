import Bytes
import Model

/// One event on its way to a subscriber.
struct WebhookEvent: Sendable {
    let event: WorldEvent
    let eventId: Int64
    let subscriptionId: Int64
    let isGeneric: Bool
    var attempt = 0

    /// What the subscription is for, such as `contact.propertyChange`. Privacy deletions have no generic form.
    static func subscriptionType(_ event: WorldEvent, isGeneric: Bool) -> String {
        if case .privacyDeletion = event.verb { return "contact.privacyDeletion" }
        return (isGeneric ? "object" : event.type.singular) + "." + verb(event)
    }

    private static func verb(_ event: WorldEvent) -> String {
        switch event.verb {
        case .creation: "creation"
        case .deletion: "deletion"
        case .restore: "restore"
        case .privacyDeletion: "privacyDeletion"
        case .propertyChange: "propertyChange"
        case .merge: "merge"
        case .associationChange: "associationChange"
        }
    }

    /// - Source: platform page, sections 2.3 to 2.5.
    func write(to json: inout JSONWriter, portalId: Int64, appId: Int64) {
        json.object { json in
            json.member("eventId", eventId)
            json.member("subscriptionId", subscriptionId)
            json.member("portalId", portalId)
            json.member("appId", appId)
            json.member("occurredAt", event.occurredAt)
            json.member("subscriptionType", WebhookEvent.subscriptionType(event, isGeneric: isGeneric))
            json.member("attemptNumber", attempt)
            if case .associationChange(let to, let toId, let link, let isRemoved) = event.verb {
                association(to, toId, link, isRemoved, &json)
            } else {
                json.member("objectId", event.id)
                if isGeneric, WebhookEvent.verb(event) != "privacyDeletion" { json.member("objectTypeId", event.type.objectTypeId) }
            }
            switch event.verb {
            case .creation: json.member("changeFlag", "CREATED")
            case .deletion: json.member("changeFlag", "DELETED")
            case .propertyChange(let name, let value):
                json.member("propertyName", name)
                json.member("propertyValue", value)
                if isGeneric { json.member("isSensitive", false) }
            case .merge(let primary, let merged, let new, let moved):
                json.member("primaryObjectId", primary)
                json.key("mergedObjectIds")
                json.array { json in for id in merged { json.integer(id) } }
                json.member("newObjectId", new)
                json.member("numberOfPropertiesMoved", moved)
            case .restore, .associationChange, .privacyDeletion: break
            }
            if case .privacyDeletion = event.verb { return }
            json.member("changeSource", event.source)
            if event.source == "CRM_UI" { json.member("sourceId", "userId:52530071") }
        }
    }

    private func association(
        _ to: RecordType, _ toId: Int64, _ link: AssociationType, _ isRemoved: Bool, _ json: inout JSONWriter
    ) {
        if isGeneric {
            json.member("fromObjectTypeId", event.type.objectTypeId)
            json.member("toObjectTypeId", to.objectTypeId)
        } else {
            json.member("associationType", "\(event.type.singular.uppercased())_TO_\(to.singular.uppercased())")
        }
        json.member("fromObjectId", event.id)
        json.member("toObjectId", toId)
        if isGeneric {
            json.member("associationTypeId", link.id)
            json.member("associationCategory", link.category)
        }
        json.member("associationRemoved", isRemoved)
        json.member("isPrimaryAssociation", link.isPrimary)
    }
}
