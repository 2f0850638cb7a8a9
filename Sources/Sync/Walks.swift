import HubSpot
import Model
import Store

/// A page of the list, or several that follow each other, with what a walk has to know of it.
struct Page: Sendable {
    private(set) var records: [Record]
    private(set) var failures: [RecordFailure]
    private(set) var after: String?
    /// The page is at least as new as this.
    let readAt: Timestamp
    private(set) var took: Duration
    /// Of all records, failed ones too, as far as they are known and are numbers.
    private(set) var ids: [Int64]
    /// What the records weigh.
    private(set) var bytes: Int

    init(_ page: RecordPage, readAt: Timestamp, took: Duration) {
        records = page.records
        failures = page.failures
        after = page.after
        self.readAt = readAt
        self.took = took
        ids = (page.records.map(\.id) + page.failures.compactMap(\.id)).compactMap { Int64($0) }
        bytes = page.records.reduce(0) { $0 + $1.properties.count }
    }

    var count: Int { records.count + failures.count }

    /// Records a second, if they take `time`.
    func pace(in time: Duration) -> Int { Int(Double(count) / max(time / .seconds(1), 0.000_1)) }

    mutating func append(_ next: Page) {
        records += next.records
        failures += next.failures
        after = next.after
        took += next.took
        ids += next.ids
        bytes += next.bytes
    }

    /// Those up to `last`, and whether the range ends with them.
    func records(through last: Int64?) -> (records: [Record], isLast: Bool) {
        guard let last, ids.count < count || ids.contains(where: { $0 >= last }) else { return (records, after == nil) }
        return (records.filter { Int64($0.id).map { $0 <= last } ?? true }, after == nil || ids.contains { $0 >= last })
    }
}

/// The walks over one type's list that are under way: who walks which range, and whether another one would help.
actor Walks {
    /// What HubSpot's cursor says, by which a walk can begin anywhere.
    ///
    /// - Source: platform page, section 5.3: documented by an example only, hence learned from the answers.
    private enum Cursors {
        /// The id of the next record.
        case nextId
        /// The id of the last record.
        case lastId
    }

    /// Yields whenever something changed that may let a walk begin or the whole end.
    nonisolated let changes: AsyncStream<Void>
    private let change: AsyncStream<Void>.Continuation
    private var walk: Walk
    /// The `above` of ranges that are being walked.
    private var walked: Set<Int64> = []
    private var cursors: Cursors?
    /// By the `above` of ranges: up to which id they are written, or are being written.
    private var claimed: [Int64: Int64] = [:]
    /// The `above` of ranges of which records are being written.
    private var written: Set<Int64> = []
    /// The `above` of a range that was cut off just now.
    private var held: Int64?
    private let isLimited: Bool
    /// Records a second that one walk reads when nothing else takes its time.
    private(set) var pace = 0
    /// Whether the last page took longer to write than to read: then MongoDB is the bottleneck, and more walks than its cores can write
    /// for only fill the memory.
    private var isWritingSlow = false
    private(set) var failure: (any Error)?
    /// Types whose associations are asked for with the records.
    private(set) var associated = RecordType.allCases

    init(_ walk: Walk, isLimited: Bool) {
        self.walk = walk
        self.isLimited = isLimited
        (changes, change) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    func changed() { change.yield() }

    var isFinished: Bool { walk.isFinished && walked.isEmpty }

    /// Whether nothing is walked, and nothing can be begun before it is known how: when a crash left no range half walked, or those that
    /// it left have ended and taught nothing.
    var needsCursors: Bool {
        cursors == nil && walked.isEmpty && !walk.isFinished && !walk.open.contains { $0.first == nil || $0.after != nil }
    }

    /// Whether there are cuts to make and a way to begin behind them.
    var isCuttable: Bool { cursors != nil && !walk.isCut && !isLimited }

    /// Runs a part of the work; its failure ends the whole.
    func watch(_ body: @Sendable () async throws -> Void) async {
        do {
            try await body()
        } catch {
            failure = failure ?? error
        }
        change.yield()
    }

    // MARK: Beginning

    /// A range for one more walk, if one is open that can be begun and would make the sync faster.
    func next(isBudgetFree: Bool) -> Walk.Range? {
        let most = isWritingSlow ? FullSync.writersMax : FullSync.walksMax
        guard walked.isEmpty || isBudgetFree && walked.count < most else { return nil }
        let range = walk.open.first { range in
            let isKnownWhere = range.after != nil || range.first == nil || cursors != nil
            return isKnownWhere && !walked.contains(range.above) && range.above != held
        }
        if let range { walked.insert(range.above) }
        return range
    }

    /// Where the walk of a range begins.
    func cursor(of range: Walk.Range) -> String? {
        if let after = range.after { return after }
        guard let first = range.first else { return nil }
        return String(cursors == .lastId ? range.above : first)
    }

    /// The range as it is now: it may have been cut, or joined to another, since its walk began. What of the page belongs to it is
    /// written from here on, and no cut takes it away; nil: the range is no longer to be walked.
    func claim(_ page: Page, of range: Walk.Range) -> Walk.Range? {
        guard let current = walk.open.first(where: { $0.above == range.above }) else { return nil }
        let last = page.ids.max() ?? current.above
        claimed[current.above] = min(last, current.through ?? last)
        written.insert(current.above)
        return current
    }

    /// Whether the walk may read on behind `page`, which is within the range still, as what it read before is being written.
    func mayReadOn(behind page: Page, in range: Walk.Range) -> Bool {
        guard written.contains(range.above), let current = walk.open.first(where: { $0.above == range.above }) else { return false }
        return current.through.map { through in page.ids.allSatisfy { $0 < through } } ?? true
    }

    // MARK: Cutting

    /// Behind what the next cut is to be made; nil when no more is to be made.
    var lastStart: Int64? {
        guard isCuttable, let last = walk.open.last, last.through == nil else { return nil }
        return max(last.above, claimed[last.above] ?? 0)
    }

    /// Cuts the last range in two, unless its walk has come past the place meanwhile, or the list turned out not to be one to cut. Nobody
    /// begins the second part before its `release`.
    func split(through: Int64, first: Int64) -> Bool {
        guard !walk.isCut, let last = walk.open.last, last.through == nil, through >= claimed[last.above] ?? 0 else { return false }
        walk.take(.split(through: through, first: first))
        held = through
        return true
    }

    func release() {
        held = nil
        change.yield()
    }

    // MARK: Progress

    func take(_ step: Walk.Step) {
        walk.take(step)
        if case .page(let above, _, nil) = step { walked.remove(above) }
        if case .join = step {
            walked.formIntersection(walk.open.filter { $0.after != nil || $0.first == nil }.map(\.above))
        }
        change.yield()
    }

    func wrote(_ page: Page, of range: Walk.Range, in time: Duration) {
        written.remove(range.above)
        pace = max(pace, page.pace(in: page.took))
        isWritingSlow = page.pace(in: time) < pace
        learn(from: page)
    }

    func learn(from page: Page) {
        guard cursors == nil, let last = page.ids.last, let cursor = page.after.flatMap({ Int64($0) }),
            zip(page.ids, page.ids.dropFirst()).allSatisfy({ $0 < $1 })
        else { return }
        if cursor > last { cursors = .nextId } else if cursor == last { cursors = .lastId }
    }

    /// The token may not read associations.
    ///
    /// - Returns: true the first time.
    func leaveAssociations() -> Bool {
        defer { associated = [] }
        return !associated.isEmpty
    }
}
