/// Whether a mirrored record is known to equal HubSpot's.
public enum SyncStatus: String, Sendable, CaseIterable {
    case synced
    /// Older than it may be, or known to have changed.
    case pending
    /// The last attempt failed; `syncError` says why.
    case error
}
