import Bytes
import HubSpot
import Model
import Rules
import Store

/// Finds what changed since the last sync by searching for it, and brings the mirror up to it.
///
/// Repairs what webhooks missed, except deletions, which no search shows, and association changes of records that the mirror has, which
/// move no date.
///
/// - Source: platform page, section 5.6: search lags, reaches 10,000 hits, and many records can share one millisecond.
struct IncrementalSync: Sendable {
    /// How far back each sync looks behind the watermark: the search index lags by up to half a minute, and our clock, which sets the
    /// watermark, may be ahead of HubSpot's by as much as webhooks may. What is known already costs a search for 200 records and no read.
    static let overlap: Duration = .seconds(300)
    /// Pages after which the watermark is moved on, so that a crash repeats no more.
    static let pagesPerWatermark = 50
    /// Pages whose records may be on their way into the mirror while the next search is made.
    static let pagesInHandMax = 4

    let hubspot: HubSpotClient
    let mirror: MirrorWriter
    let catalog: PropertyCatalog
    let reader: MirrorReader
    let watermarks: WatermarkStore

    /// Does nothing before the first complete full sync of the type: until then everything is new.
    ///
    /// Every search begins anew at the last instant seen instead of paging on: a record that changes meanwhile leaves its place, and
    /// all behind it would move up by one, one of them past the page that is asked for next.
    func run(_ type: RecordType, report: @escaping @Sendable (FullSync.Report) async -> Void) async throws {
        guard let watermark = try await watermarks.load(type) else { return }
        let startedAt = Timestamp.now
        let properties = try await catalog.names(of: type, isFresh: true, as: .incremental)
        var position = watermark - IncrementalSync.overlap
        try await withThrowingTaskGroup(of: Void.self) { refreshes in
            var inHand = 0
            var pages = 0
            // At the last instant seen, where one search ends and the next begins.
            var known: Set<String> = []
            func refreshed(_ page: SearchPage) async throws {
                let records = page.records.filter { !known.contains($0.id) }
                if inHand == IncrementalSync.pagesInHandMax {
                    try await refreshes.next()
                    inHand -= 1
                }
                inHand += 1
                refreshes.addTask { try await refresh(records, type, properties, report) }
            }
            while true {
                try Task.checkCancellation()
                let from = String(position.milliseconds)
                let page = try await hubspot.search(
                    type, SearchQuery(groups: [[.init(type.modifiedProperty, .greaterOrEqual, from)]], sortedBy: type.modifiedProperty),
                    as: .incremental)
                try await refreshed(page)
                guard page.after != nil else { break }
                if let last = page.records.compactMap({ $0.modifiedAt }).max(), last > position {
                    position = last
                    known = Set(page.records.filter { $0.modifiedAt == last }.map(\.id))
                } else {
                    known.formUnion(page.records.map(\.id))
                    try await walk(position, type, refreshed)
                    position = position + .milliseconds(1)
                    known = []
                }
                pages += 1
                if pages.isMultiple(of: IncrementalSync.pagesPerWatermark) {
                    try await refreshes.waitForAll()
                    inHand = 0
                    try await watermarks.advance(type, to: min(position, startedAt))
                }
            }
            try await refreshes.waitForAll()
        }
        try await watermarks.advance(type, to: startedAt)
    }

    /// All records that changed at one instant, by their ids: more than one page.
    private func walk(_ instant: Timestamp, _ type: RecordType, _ refreshed: (SearchPage) async throws -> Void) async throws {
        var lastId: Int64 = 0
        while true {
            try Task.checkCancellation()
            let text = String(instant.milliseconds)
            let page = try await hubspot.search(
                type,
                SearchQuery(
                    groups: [
                        [
                            .init(type.modifiedProperty, .greaterOrEqual, text), .init(type.modifiedProperty, .lessOrEqual, text),
                            .init("hs_object_id", .greater, String(lastId)),
                        ]
                    ], sortedBy: "hs_object_id"), as: .incremental)
            try await refreshed(page)
            guard page.after != nil, let last = page.records.compactMap({ Int64($0.id) }).max(), last > lastId else { return }
            lastId = last
        }
    }

    /// Reads those of the records that the mirror does not have in that version: most of the overlap is known.
    private func refresh(
        _ found: [Record], _ type: RecordType, _ properties: [String], _ report: @escaping @Sendable (FullSync.Report) async -> Void
    ) async throws {
        let known = try await reader.versions(of: found.map(\.id), type)
        let changed = found.filter { record in known[record.id].map { $0 < record.updatedAt } ?? true }.map(\.id)
        for start in stride(from: 0, to: changed.count, by: HubSpotClient.batchMax) {
            let ids = Array(changed[start..<min(start + HubSpotClient.batchMax, changed.count)])
            let readAt = Timestamp.now
            let answer = try await hubspot.read(type, ids: ids, properties: properties, archived: false, as: .incremental)
            var outcome = try await mirror.writePatiently(answer.records, of: type, readAt: readAt)
            let second = try await SecondReading(hubspot: hubspot, mirror: mirror).of(
                answer.failures, type, properties: properties, as: .incremental)
            outcome += second.outcome
            await report(.page(outcome, second.failures, nil))
        }
        try await relate(changed.filter { known[$0] == nil }, type, report)
    }

    /// Reads the associations of records that the mirror did not have. The records are right without them, and a reconciliation follows.
    private func relate(_ ids: [String], _ type: RecordType, _ report: @Sendable (FullSync.Report) async -> Void) async throws {
        let associations = Associations(mirror: mirror, hubspot: hubspot)
        for other in RecordType.allCases {
            // Of scopes full syncs tell.
            for trouble in try await associations.troubles(refreshing: ids, of: type, to: other, as: .incremental, mayLackScopes: true) {
                await report(.trouble(trouble))
            }
        }
    }
}

extension Record {
    /// The instant by which search sorts and filters. It need not be `updatedAt`, to the millisecond.
    fileprivate var modifiedAt: Timestamp? {
        BSONDocument(bytes: properties)[type.modifiedProperty]?.string.flatMap { Timestamp(property: $0) } ?? updatedAt
    }
}
