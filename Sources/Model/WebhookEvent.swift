/// What one event of a webhook says, reduced to what the mirror needs: never a property's value, which is personal data and is
/// read again from HubSpot anyway.
///
/// - Source: platform page, section 2. Every field but the type is optional: HubSpot leaves out what it documents.
public struct WebhookEvent: Sendable, Equatable {
    public enum Verb: String, Sendable, CaseIterable {
        case creation, deletion, propertyChange, merge, restore, associationChange, privacyDeletion
    }

    /// `contact.creation`, `object.propertyChange`, … as sent.
    public var subscriptionType: String
    /// The record type and what happened to it; nil for what is not mirrored.
    public var type: RecordType?
    public var verb: Verb?
    public var objectId: String?
    /// The instant of the change, not of the delivery.
    public var occurredAt: Timestamp?
    public var eventId: Int64?
    public var subscriptionId: Int64?
    public var portalId: Int64?
    /// Of another account than the token's: its records are looked at, but nothing is erased or buried on its word.
    public var isForeign = false
    public var attemptNumber: Int64?
    public var propertyName: String?
    /// Merge: the preferred record, the others, and the record that results if it is a third one.
    public var primaryId: String?
    public var mergedIds: [String]
    public var newId: String?
    /// Association change: both ends.
    public var from: RecordKey?
    public var to: RecordKey?

    public init(subscriptionType: String) {
        self.subscriptionType = subscriptionType
        mergedIds = []
    }

    /// The record that a merge leaves: the new one, else the primary one, else the one that the event is about.
    public var survivorId: String? { newId ?? primaryId ?? objectId }
}
