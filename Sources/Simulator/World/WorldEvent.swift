import Model

/// One thing that happened, as HubSpot would tell its webhook subscribers.
struct WorldEvent: Sendable {
    enum Verb: Sendable {
        case creation, deletion, restore, privacyDeletion
        case propertyChange(name: String, value: String)
        case merge(primary: Int64, merged: [Int64], new: Int64, moved: Int)
        case associationChange(to: RecordType, toId: Int64, link: AssociationType, isRemoved: Bool)
    }

    let type: RecordType
    let id: Int64
    let occurredAt: Int64
    let verb: Verb
    let source: String
}
