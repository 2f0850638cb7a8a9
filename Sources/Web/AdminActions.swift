import HTTPTypes
import Model
import Store
import Sync

/// What an operator can set going, by the API and by the page's forms.
struct AdminActions: Sendable {
    let runs: Runs
    let inbox: Inbox
    let mirror: MirrorReader
    let pool: Pool

    @discardableResult
    func start(_ scope: SyncScope) async throws -> Run { try await runs.start(scope) }

    func cancel(_ id: String) async throws -> Run {
        guard let run = try await runs.cancel(id) else { throw APIError(.notFound, "unknown_run", "There is no run with that id") }
        return run
    }

    /// Works on deliveries again.
    ///
    /// - Returns: how many.
    func replay(_ query: Inbox.Query) async throws -> Int {
        let count = try await inbox.replay(query)
        guard count > 0 || query.id == nil else { throw APIError(.notFound, "unknown_delivery", "There is no delivery with that id") }
        await pool.lookIntoInbox()
        return count
    }

    func replay(_ id: String) async throws -> Int {
        var query = Inbox.Query()
        query.id = id
        return try await replay(query)
    }

    /// Reads every record again that was given up, and works on its deliveries again.
    func retryAll() async throws -> (records: Int, deliveries: Int) {
        let keys = try await mirror.failedRecords(limit: Pool.recordsMax)
        let deliveries = try await inbox.replayFailed()
        await pool.refresh(keys)
        await pool.lookIntoInbox()
        return (keys.count, deliveries)
    }

    /// The same for one record, whatever its state.
    func retry(_ key: RecordKey) async throws -> (records: Int, deliveries: Int) {
        guard try await mirror.record(key.type, key.id) != nil else { throw APIError(.notFound, "not_found", "The mirror has no such record") }
        var query = Inbox.Query()
        query.state = .failed
        query.type = key.type
        query.hubspotId = key.id
        let deliveries = try await inbox.replay(query)
        await pool.refresh([key])
        await pool.lookIntoInbox()
        return (1, deliveries)
    }
}
