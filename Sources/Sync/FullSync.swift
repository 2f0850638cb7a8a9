import HubSpot
import Model
import Rules
import Store

/// Walks the list of one type from its first page to its last and writes every record into the mirror.
struct FullSync: Sendable {
    /// Pages that may be on their way into MongoDB while the next one is read: enough to hide a write behind a read,
    /// few enough to keep memory flat when MongoDB is the slower one.
    static let pagesInHandMax = 4
    /// Ids that are looked up in the mirror at once after the walk.
    static let leftoversMax = 10_000

    let hubspot: HubSpotClient
    let mirror: MirrorWriter
    let catalog: PropertyCatalog
    let reader: MirrorReader
    let watermarks: WatermarkStore

    /// - Parameters:
    ///   - limit: the most records to read; nil for all.
    ///   - report: told of the total once it is known, then of each page when it is in the mirror.
    /// - Throws: `HubSpotError` or `MongoError` when the walk cannot go on, `CancellationError`. A record's own failure is
    ///   reported, never thrown.
    func run(_ type: RecordType, limit: Int?, report: @escaping @Sendable (Report) async -> Void) async throws {
        let startedAt = Timestamp.now
        let properties = try await catalog.names(of: type, isFresh: true, as: .full)
        if let total = try await total(of: type) { await report(.total(min(total, limit ?? total))) }
        try await withThrowingTaskGroup(of: Void.self) { writes in
            var after: String?
            var left = limit ?? .max
            var inHand = 0
            var unrelated: [String] = []
            repeat {
                try Task.checkCancellation()
                // Before the call: the page is at least as new as this.
                let readAt = Timestamp.now
                let page = try await hubspot.page(
                    of: type, after: after, limit: min(HubSpotClient.pageMax, left), properties: properties, archived: false, as: .full)
                if inHand == FullSync.pagesInHandMax {
                    try await writes.next()
                    inHand -= 1
                }
                unrelated += page.records.map(\.id)
                left -= page.records.count + page.failures.count
                let isLast = page.after == nil || left <= 0
                let toRelate = isLast || unrelated.count >= HubSpotClient.associationsMax ? unrelated : []
                if !toRelate.isEmpty {
                    unrelated = []
                    // Their records have to be there, all of them.
                    try await writes.waitForAll()
                    inHand = 0
                }
                writes.addTask {
                    let outcome = try await mirror.writePatiently(page.records, of: type, readAt: readAt)
                    await report(.page(outcome, page.failures))
                    await relate(toRelate, of: type, report: report)
                }
                inHand += 1
                after = page.after
            } while after != nil && left > 0
            try await writes.waitForAll()
        }
        // Only the end of the list says what is no longer in it.
        guard limit == nil else { return }
        try await settleLeftovers(of: type, since: startedAt, report: report)
        try await watermarks.advance(type, to: startedAt)
    }

    /// Reads the associations of records that are in the mirror. The records themselves are right without them, so a failure (a
    /// missing scope for the other type, say) is told and does not end the walk.
    private func relate(_ ids: [String], of type: RecordType, report: @escaping @Sendable (Report) async -> Void) async {
        do {
            for id in try await Associations(mirror: mirror, hubspot: hubspot).refresh(ids, of: type, as: .full) {
                await report(.trouble("\(type.rawValue) \(id): HubSpot could not read its associations"))
            }
        } catch where !Task.isCancelled {
            await report(.trouble("associations of \(ids.count) \(type.rawValue) could not be read: \(error)"))
        } catch {
            // The walk itself notices that it is cancelled.
        }
    }

    /// Finds out what became of live records that the list no longer holds. Each is asked for by its id: a list that was cut short
    /// or answered wrongly removes nothing.
    private func settleLeftovers(
        of type: RecordType, since startedAt: Timestamp, report: @escaping @Sendable (Report) async -> Void
    ) async throws {
        let outcomes = Outcomes(mirror: mirror, hubspot: hubspot, catalog: catalog, callClass: .full)
        var asked: Set<String> = []
        while true {
            let ids = try await reader.unseen(of: type, since: startedAt, limit: FullSync.leftoversMax).filter { asked.insert($0).inserted }
            guard !ids.isEmpty else { return }
            for start in stride(from: 0, to: ids.count, by: HubSpotClient.batchMax) {
                try Task.checkCancellation()
                // As if asked for long ago: what is not to be seen now is gone, not late.
                let askedAt = startedAt - Outcomes.visibleAfter
                let tasks = ids[start..<min(start + HubSpotClient.batchMax, ids.count)].map {
                    RecordQueue.Task(key: RecordKey(type, $0), at: askedAt)
                }
                await report(.leftovers(await outcomes.reach(tasks)))
            }
        }
    }

    enum Report: Sendable {
        case total(Int)
        case page(WriteOutcome, [RecordFailure])
        /// Something beside the records went wrong.
        case trouble(String)
        case leftovers([RecordKey: Outcomes.Result])
    }

    /// The number of records that a search without a filter finds. Only the progress bar needs it, so a search that fails
    /// leaves it unknown; what is really wrong shows in the walk.
    private func total(of type: RecordType) async throws -> Int? {
        do {
            return try await hubspot.search(type, SearchQuery(limit: 1), as: .full).total
        } catch {
            try Task.checkCancellation()
            return nil
        }
    }
}
