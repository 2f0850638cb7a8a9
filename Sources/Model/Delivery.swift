/// One webhook request that was accepted, and what became of it.
public struct Delivery: Sendable, Equatable, Identifiable {
    public enum State: String, Sendable, CaseIterable {
        /// Stored; some of its records have yet to be read.
        case pending
        /// Every record that it named is in the mirror as HubSpot has it.
        case done
        /// Done but for records that were given up; each says why.
        case failed
    }

    /// Sorts by the time of receipt.
    public let id: String
    public let receivedAt: Timestamp
    /// The signature that it came with: `v1`, `v2` or `v3`; `replay` for one that an operator repeated.
    public let signature: String
    public let events: [WebhookEvent]
    public var state: State
    public var finishedAt: Timestamp?
    /// Records that were given up.
    public var failed: [RecordKey]

    public init(id: String, receivedAt: Timestamp, signature: String, events: [WebhookEvent]) {
        self.id = id
        self.receivedAt = receivedAt
        self.signature = signature
        self.events = events
        state = .pending
        failed = []
    }
}
