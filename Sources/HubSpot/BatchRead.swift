public import Model

/// The answer to a batch read.
public struct BatchRead: Sendable {
    /// In HubSpot's order. A merged-away id is answered by its survivor, under the survivor's id, which need not have been asked for.
    public let records: [Record]
    /// Asked ids without an answer of their own id: never existed, deleted, archived (or not archived, when asked for archived ones),
    /// or merged into another. An id that HubSpot failed to read is a failure instead.
    public let missing: [String]
    public let failures: [RecordFailure]

    public init(records: [Record], missing: [String] = [], failures: [RecordFailure] = []) {
        self.records = records
        self.missing = missing
        self.failures = failures
    }
}
