public import Model

/// One page of the list of a type.
public struct RecordPage: Sendable {
    public let records: [Record]
    /// Records that HubSpot sent in a form that cannot be mirrored.
    public let failures: [RecordFailure]
    /// The cursor of the next page; nil at the end.
    public let after: String?

    public init(records: [Record], failures: [RecordFailure] = [], after: String?) {
        self.records = records
        self.failures = failures
        self.after = after
    }
}
