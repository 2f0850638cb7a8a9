internal import Model
internal import Mongo

/// How many records lists have. Counting reads one index entry a record, which takes most of a second for a million.
///
/// Exact. While the mirror changes, the number of a long list may be some seconds old.
actor MirrorTotals {
    /// Up to so many are counted anew after each change: some milliseconds of the server's time.
    static let smallMax = 10_000
    /// More are given again while the mirror changes, for so many times as long as counting took.
    private static let rest = 10
    private static let restMax: Duration = .seconds(10)
    private static let entriesMax = 1000

    private struct Count {
        let total: Int
        let took: Duration
        let ended: CoreClock.Instant
    }

    private let database: MongoDatabase
    private let known: WhileUnchanged<MirrorQuery, Int>
    private let smallMax: Int
    /// Of lists that are long.
    private var long: [MirrorQuery: Count] = [:]
    private var running: [MirrorQuery: Task<Int, any Error>] = [:]

    init(database: MongoDatabase, watch: MirrorWatch, smallMax: Int = MirrorTotals.smallMax) {
        self.database = database
        self.smallMax = smallMax
        known = WhileUnchanged(watch, entriesMax: MirrorTotals.entriesMax)
    }

    func total(of query: MirrorQuery) async throws -> Int {
        let list = query.list
        if let total = known.value(of: list) { return total }
        if let last = long[list] {
            if CoreClock.now - last.ended < min(MirrorTotals.restMax, last.took * MirrorTotals.rest) { return last.total }
            // Only one counts at a time: others would take the server's time from it.
            if let running = running[list] { return try await running.value }
        }
        let task = Task { try await count(list) }
        running[list] = task
        defer { if running[list] == task { running[list] = nil } }
        return try await task.value
    }

    private func count(_ list: MirrorQuery) async throws -> Int {
        let revision = known.revision
        let begin = CoreClock.now
        let query = MirrorPlan(list).total
        let total = try await database.run { try $0.count(query, in: list.type.rawValue) }
        if total <= smallMax {
            long[list] = nil
        } else {
            if long.count >= MirrorTotals.entriesMax { long.removeAll() }
            long[list] = Count(total: total, took: CoreClock.now - begin, ended: .now)
        }
        known.note(total, of: list, at: revision)
        return total
    }
}

extension MirrorQuery {
    /// The same list, whatever its order and the page.
    fileprivate var list: MirrorQuery {
        MirrorQuery(type, syncStatus: syncStatus, archived: archived, updatedAfter: updatedAfter, q: q)
    }
}
