/// How a mirrored record stands to HubSpot. The raw value is what MongoDB and the API hold.
public enum SyncStatus: String, Sendable, CaseIterable {
    /// Known to equal HubSpot as of `lastSyncedAt`.
    case synced
    /// Older than `STALE_AFTER`, or known to have changed.
    case pending
    /// The last attempt to refresh it failed; `syncError` says why.
    case error
}
