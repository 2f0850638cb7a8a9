public import Model

/// Exact numbers of one type. `total` counts what is not archived and equals synced + pending + error.
public struct MirrorCounts: Sendable, Equatable {
    public var synced = 0
    public var pending = 0
    public var error = 0
    public var archived = 0
    /// The latest of the records that are not archived.
    public var lastSyncedAt: Timestamp?

    public var total: Int { synced + pending + error }

    public init() {}
}
