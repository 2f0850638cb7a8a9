import HubSpot
import Model
import Rules
import Store

/// Walks the list of one type from its first record to its last and writes every record into the mirror, as fast as the account's
/// limit allows.
///
/// One walk is bound by its round trips. So the list is cut into ranges of ids by search, and as many of them are walked at once as it
/// takes until calls wait for the limit. That needs cursors whose start is known; with others the list is walked page after page.
struct FullSync: Sendable {
    /// Walks of one type at once: enough for 250 calls in 10 s at a second a call.
    static let walksMax = 32
    /// Walks of one type at once when MongoDB is slower than HubSpot: one connection keeps one of its cores busy.
    static let writersMax = 4
    /// Bytes of one walk's records that are written together, when pages come faster than they can be written.
    static let writtenMax = 3 << 18
    /// Ids that are looked up in the mirror at once after the walk, and batches of them that are asked for at once.
    static let leftoversMax = 10_000
    static let leftoverCallsMax = 8

    let hubspot: HubSpotClient
    let mirror: MirrorWriter
    let catalog: PropertyCatalog
    let reader: MirrorReader
    let watermarks: WatermarkStore

    enum Report: Sendable {
        case total(Int)
        /// Records are in the mirror; with them the walk has come one step further.
        case page(WriteOutcome, [RecordFailure], Walk.Step?)
        case step(Walk.Step)
        /// Something beside the records went wrong.
        case trouble(String)
        case leftovers([RecordKey: Outcomes.Result])
    }

    /// What is done for one type of one run.
    struct Job: Sendable {
        let type: RecordType
        /// The most records to read; nil for all.
        let limit: Int?
        /// When the run began, in whichever process.
        let startedAt: Timestamp
        /// How far it is; new, or as it was when another process left it.
        let progress: TypeProgress
        /// Told of everything that progresses, in order for each range.
        let report: @Sendable (Report) async -> Void
    }

    /// - Throws: `HubSpotError` or `MongoError` when the walk cannot go on, `CancellationError`. A record's own failure is
    ///   reported, never thrown.
    func run(_ job: Job) async throws {
        let properties = try await catalog.names(of: job.type, isFresh: true, as: .full)
        var total = job.progress.total
        if total == nil {
            total = try await count(job.type)
            if let total { await job.report(.total(min(total, job.limit ?? total))) }
        }
        let walks = Walks(job.progress.walk, isLimited: job.limit != nil)
        if let limit = job.limit {
            let left = limit - job.progress.processed
            if left > 0, let range = await walks.next(isBudgetFree: true) { try await walk(range, limit: left, job, properties, walks) }
            return  // Only the end of the list says what is no longer in it.
        }
        try await walkAll(job, total: total, properties, walks)
        try await settleLeftovers(job)
        try await watermarks.advance(job.type, to: job.startedAt)
    }

    // MARK: Ranges

    private func walkAll(_ job: Job, total: Int?, _ properties: [String], _ walks: Walks) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            var isCutting = false
            await walks.changed()
            for await _ in walks.changes {
                if let failure = await walks.failure { throw failure }
                if await walks.isFinished { break }
                if await walks.needsCursors {
                    await walks.learn(from: try await page(job, after: nil, 2, [], walks))
                    if await walks.needsCursors { await join(job, walks) }
                }
                if !isCutting, await walks.isCuttable {
                    isCutting = true
                    group.addTask { await walks.watch { try await cut(job, total: total, walks) } }
                }
                let isBudgetFree = await !hubspot.isWaiting(.full)
                if let range = await walks.next(isBudgetFree: isBudgetFree) {
                    group.addTask { await walks.watch { try await walk(range, limit: .max, job, properties, walks) } }
                }
            }
            try Task.checkCancellation()
            group.cancelAll()  // of the cutter, should the list have ended before it
        }
    }

    private func join(_ job: Job, _ walks: Walks) async {
        // A page of another walk may come between the two: `Walk.take` is right for both.
        await job.report(.step(.join))
        await walks.take(.join)
    }

    /// Records of the next range, of those that are left. Large ones cost fewer searches, each of which can look 10,000 records ahead;
    /// towards the end small ones let all walks end together. None is so small that a walk has come through it before the search that
    /// cuts it off is answered.
    ///
    /// - Parameter pace: records a second of one walk.
    private static func rangeSize(left: Int, pace: Int) -> Int { max(1_000, min(SearchQuery.hitsMax, max(left / 16, pace / 4))) }

    /// Cuts ranges off, one search each, while the first of them are walked already.
    private func cut(_ job: Job, total: Int?, _ walks: Walks) async throws {
        var left = total ?? SearchQuery.hitsMax
        while let above = await walks.lastStart {
            let size = await FullSync.rangeSize(left: left, pace: walks.pace)
            let query = SearchQuery(
                groups: [[.init("hs_object_id", .greater, String(above))]], sortedBy: "hs_object_id", limit: 2, after: String(size - 2))
            // The walk needs no search: one that fails leaves the rest of the list in one piece.
            guard let page = try await found(job.type, query) else { break }
            let ids = page.records.compactMap { Int64($0.id) }
            // Fewer: what is left is one range.
            guard ids.count == 2, above < ids[0], ids[0] < ids[1] else { break }
            left = page.total
            guard await walks.split(through: ids[0], first: ids[1]) else { continue }
            await job.report(.step(.split(through: ids[0], first: ids[1])))
            await walks.release()
            left -= size - 1
        }
        await job.report(.step(.cut))
        await walks.take(.cut)
    }

    private func found(_ type: RecordType, _ query: SearchQuery) async throws -> SearchPage? {
        do {
            return try await hubspot.search(type, query, as: .full)
        } catch {
            try Task.checkCancellation()
            return nil
        }
    }

    /// Walks one range from where it stands to its end. The next pages are read while this one is written.
    ///
    /// - Parameter limit: the most records to read.
    private func walk(_ range: Walk.Range, limit: Int, _ job: Job, _ properties: [String], _ walks: Walks) async throws {
        var left = limit
        var pending: Page? = try await page(job, after: await walks.cursor(of: range), left, properties, walks)
        if range.first != nil, range.after == nil, let page = pending, try await !begins(page, range, job.type) {
            return await join(job, walks)
        }
        while let page = pending, let range = await walks.claim(page, of: range) {
            try Task.checkCancellation()
            let own = page.records(through: range.through)
            left -= own.records.count + page.failures.count
            let after = own.isLast || left <= 0 ? nil : page.after
            let room = left
            async let following = readOn(range, job, after: after, room, properties, walks)
            let started = CoreClock.now
            var outcome = try await mirror.writePatiently(own.records, of: job.type, readAt: page.readAt)
            let second = try await SecondReading(hubspot: hubspot, mirror: mirror).of(page.failures, job.type, properties: properties, as: .full)
            outcome += second.outcome
            await relate(own.records, and: second.ids, job)
            let step = Walk.Step.page(above: range.above, through: range.through, after: after)
            await job.report(.page(outcome, second.failures, step))
            await walks.wrote(page, of: range, in: CoreClock.now - started)
            await walks.take(step)
            pending = try await following
        }
    }

    /// The pages behind `after`: one, and more as long as those before are being written. So a MongoDB that is slower than HubSpot gets
    /// fewer and larger writes.
    private func readOn(
        _ range: Walk.Range, _ job: Job, after: String?, _ left: Int, _ properties: [String], _ walks: Walks
    ) async throws -> Page? {
        guard let after else { return nil }
        var pages = try await page(job, after: after, left, properties, walks)
        while let after = pages.after, pages.count < min(left, MirrorWriter.batchMax), pages.bytes < FullSync.writtenMax,
            await walks.mayReadOn(behind: pages, in: range) {
            pages.append(try await page(job, after: after, left - pages.count, properties, walks))
        }
        return pages
    }

    /// Whether a walk that was to begin in the middle of the list does: with the range's first record, unless that is gone.
    private func begins(_ page: Page, _ range: Walk.Range, _ type: RecordType) async throws -> Bool {
        guard let first = range.first, page.ids.first != first else { return true }
        guard page.ids.allSatisfy({ $0 > first }) else { return false }
        let records = try await hubspot.read(type, ids: [String(first)], properties: [], archived: false, as: .full).records
        // One that was merged away is answered by its survivor.
        return !records.contains { $0.id == String(first) }
    }

    // MARK: Pages

    private func page(_ job: Job, after: String?, _ left: Int, _ properties: [String], _ walks: Walks) async throws -> Page {
        // Before the call: the page is at least as new as this.
        let readAt = Timestamp.now
        let started = CoreClock.now
        let limit = min(HubSpotClient.pageMax, left)
        let associated = await walks.associated
        do throws(HubSpotError) {
            let page = try await hubspot.page(
                of: job.type, after: after, limit: limit, properties: properties, archived: false, associations: associated, as: .full)
            return Page(page, readAt: readAt, took: CoreClock.now - started)
        } catch {
            guard case .missingScopes = error.kind, !associated.isEmpty else { throw error }
            // Perhaps only the other types may not be read. The records are right without their associations.
            let page = try await hubspot.page(
                of: job.type, after: after, limit: limit, properties: properties, archived: false, as: .full)
            if await walks.leaveAssociations() { await job.report(.trouble("associations of \(job.type.rawValue): \(error.message)")) }
            return Page(page, readAt: readAt, took: CoreClock.now - started)
        }
    }

    /// Reads the associations that were too many to come with their records, and those of records that came without any. A failure is
    /// told and does not end the walk.
    private func relate(_ records: [Record], and bare: [String], _ job: Job) async {
        for other in RecordType.allCases {
            let ids = records.filter { $0.truncatedAssociations.contains(other) }.map(\.id) + bare
            // The walk itself notices that it is cancelled.
            let troubles = try? await Associations(mirror: mirror, hubspot: hubspot).troubles(refreshing: ids, of: job.type, to: other, as: .full)
            for trouble in troubles ?? [] { await job.report(.trouble(trouble)) }
        }
    }

    /// The number of records that a search without a filter finds. Only the progress bar and the size of ranges need it, so a search
    /// that fails leaves it unknown; what is really wrong shows in the walk.
    private func count(_ type: RecordType) async throws -> Int? { try await found(type, SearchQuery(limit: 1))?.total }

    // MARK: What is no longer listed

    /// Finds out what became of live records that the list no longer holds. Each is asked for by its id: a list that was cut short
    /// or answered wrongly removes nothing.
    private func settleLeftovers(_ job: Job) async throws {
        let outcomes = Outcomes(mirror: mirror, hubspot: hubspot, catalog: catalog, callClass: .full)
        var asked: Set<String> = []
        while true {
            let ids = try await reader.unseen(of: job.type, since: job.startedAt, limit: FullSync.leftoversMax)
                .filter { asked.insert($0).inserted }
            guard !ids.isEmpty else { return }
            try await job.lookUp(ids, by: outcomes, callsMax: FullSync.leftoverCallsMax)
        }
    }
}

extension FullSync.Job {
    /// Finds out what became of records, and reports it.
    ///
    /// - Throws: `HubSpotError` or `MongoError` when none of them could be asked for; `CancellationError`.
    func lookUp(_ ids: [String], by outcomes: Outcomes, callsMax: Int = 1) async throws {
        guard let first = ids.first else { return }
        let (unasked, add) = AsyncStream<Int>.makeStream()
        try await outcomes.lookUp(ids, of: type, callsMax: callsMax) { results in
            // What was left because the run stops is no failure: whoever goes on with the run asks.
            let told = Task.isCancelled ? results.filter { !$0.value.isAgain } : results
            add.yield(told.values.filter(\.isAgain).count)
            await report(.leftovers(told))
        }
        add.finish()
        var count = 0
        for await more in unasked { count += more }
        try Task.checkCancellation()
        guard count == ids.count else { return }
        // One more try says why.
        _ = try await outcomes.settle([RecordQueue.Task(key: RecordKey(type, first), at: .now)], type)
        throw HubSpotError(.unavailable, "none of \(ids.count) records that may be gone could be asked for")
    }
}

extension Outcomes.Result {
    fileprivate var isAgain: Bool { if case .again = self { true } else { false } }
}
