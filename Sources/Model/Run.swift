/// One sync from its start to its end: what it covers, how far it is, what came of it.
public struct Run: Sendable, Equatable, Identifiable {
    public enum State: String, Sendable, CaseIterable { case running, succeeded, failed, cancelled }

    /// Why a run could not proceed. The raw value is the `code` of the error.
    public enum FailureCode: String, Sendable {
        case hubspotUnreachable = "hubspot_unreachable"
        case hubspotUnauthorized = "hubspot_unauthorized"
        case hubspotMissingScopes = "hubspot_missing_scopes"
        case hubspotRefused = "hubspot_refused"
        case mongodbUnreachable = "mongodb_unreachable"
        case mongodbRefused = "mongodb_refused"
        case interrupted
        case cancelled
    }

    /// Messages kept of a run; further failures are only counted.
    public static let errorMessagesMax = 100

    /// Sorts by the time of the start.
    public let id: String
    public let scope: SyncScope
    public var state: State
    public let startedAt: Timestamp
    public var finishedAt: Timestamp?
    /// The last time the instance that carries it out said that it is alive.
    public var heartbeatAt: Timestamp
    /// How often another instance, or the same after a restart, took the run up where it stood.
    public var resumptions = 0
    /// One entry for each type of the scope.
    public var byType: [RecordType: TypeProgress]
    /// At most `errorMessagesMax`, each naming type and id.
    public var errorMessages: [String]
    /// Why the run itself could not proceed; nil while it can.
    public var failureCode: FailureCode?

    public init(id: String, scope: SyncScope, startedAt: Timestamp) {
        self.id = id
        self.scope = scope
        state = .running
        self.startedAt = startedAt
        heartbeatAt = startedAt
        byType = Dictionary(uniqueKeysWithValues: scope.types.map { ($0, TypeProgress()) })
        errorMessages = []
    }

    public var isFinished: Bool { state != .running }

    /// All types together.
    public var sum: TypeProgress { byType.values.reduce(into: TypeProgress()) { $0.add($1) } }

    public mutating func note(_ message: String) {
        if errorMessages.count < Run.errorMessagesMax { errorMessages.append(message) }
    }
}

/// The counts of one type within a run. `processed` is what the progress bar shows.
public struct TypeProgress: Sendable, Equatable {
    /// Records created in the mirror.
    public var synced = 0
    /// Records that existed and were refreshed, `unchanged` among them.
    public var updated = 0
    /// Those of `updated` that held no new data.
    public var unchanged = 0
    /// Records that failed.
    public var errors = 0
    /// Records found deleted in HubSpot.
    public var archived = 0
    /// Records that the run will look at, if HubSpot said so.
    public var total: Int?
    /// How far a full sync is; counts and walk belong together.
    public var walk = Walk()
    /// Whether nothing is left to do for the type.
    public var isDone = false

    public init() {}

    public var processed: Int { synced + updated + errors + archived }

    mutating func add(_ other: Self) {
        synced += other.synced
        updated += other.updated
        unchanged += other.unchanged
        errors += other.errors
        archived += other.archived
        if let more = other.total { total = (total ?? 0) + more }
    }
}
