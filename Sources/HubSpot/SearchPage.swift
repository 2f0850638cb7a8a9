public import Model

/// One page of a search. Its records hold the default properties only, so they say who changed and when, and are not for the mirror.
public struct SearchPage: Sendable {
    public let records: [Record]
    public let failures: [RecordFailure]
    /// All hits, also those beyond the 10,000 that paging reaches.
    public let total: Int
    public let after: String?

    public init(records: [Record], failures: [RecordFailure] = [], total: Int, after: String?) {
        self.records = records
        self.failures = failures
        self.total = total
        self.after = after
    }
}
