public import Model

/// Which records of a type to read, and in which order.
public struct MirrorQuery: Sendable, Hashable {
    public var type: RecordType
    /// Records a page, 1...1000.
    public var limit: Int
    /// The cursor of the page before, of the same sort.
    public var after: String?
    public var syncStatus: SyncStatus?
    public var archived: Bool
    /// Only records whose `updatedAt` is later.
    public var updatedAfter: Timestamp?
    /// A prefix of any of the type's searched fields; case and accents make no difference.
    public var q: String?
    public var sort: MirrorSort

    public init(
        _ type: RecordType, limit: Int = 50, after: String? = nil, syncStatus: SyncStatus? = nil, archived: Bool = false,
        updatedAfter: Timestamp? = nil, q: String? = nil, sort: MirrorSort = .newestFirst
    ) {
        self.type = type
        self.limit = limit
        self.after = after
        self.syncStatus = syncStatus
        self.archived = archived
        self.updatedAfter = updatedAfter
        self.q = q
        self.sort = sort
    }
}
