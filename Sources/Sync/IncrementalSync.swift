import HubSpot
import Model
import Rules
import Store

/// Finds what changed since the last sync by searching for it, and brings the mirror up to it.
///
/// Repairs what webhooks missed, except deletions, which no search shows, and association changes, which move no date.
///
/// - Source: platform page, section 5.6: search lags, reaches 10,000 hits, and many records can share one millisecond.
struct IncrementalSync: Sendable {
    /// How far back each sync looks behind the watermark: the search index lags by up to half of that.
    static let overlap: Duration = .seconds(60)

    let hubspot: HubSpotClient
    let mirror: MirrorWriter
    let catalog: PropertyCatalog
    let reader: MirrorReader
    let watermarks: WatermarkStore

    /// Does nothing before the first complete full sync of the type: until then everything is new.
    func run(_ type: RecordType, report: @escaping @Sendable (FullSync.Report) async -> Void) async throws {
        guard let watermark = try await watermarks.load(type) else { return }
        let startedAt = Timestamp.now
        let properties = try await catalog.names(of: type, isFresh: true, as: .incremental)
        var position = watermark - IncrementalSync.overlap
        var after: String?
        while true {
            try Task.checkCancellation()
            let page = try await hubspot.search(type, query(type, from: position, after: after), as: .incremental)
            try await refresh(page, type, properties, report)
            guard let next = page.after else { break }
            guard Int(next).map({ $0 >= SearchQuery.hitsMax }) ?? false else {
                after = next
                continue
            }
            // The end of what paging can reach: begin anew at the last instant seen, whose records may not all have been.
            after = nil
            if let last = page.records.map(\.updatedAt).max(), last > position {
                position = last
                try await watermarks.advance(type, to: position)
            } else {
                try await walk(type, at: position, properties, report)
                position = position + .milliseconds(1)
            }
        }
        try await watermarks.advance(type, to: startedAt)
    }

    private func query(_ type: RecordType, from position: Timestamp, after: String?) -> SearchQuery {
        SearchQuery(
            groups: [[.init(type.modifiedProperty, .greaterOrEqual, String(position.milliseconds))]], sortedBy: type.modifiedProperty,
            after: after)
    }

    /// All records that changed at one instant, by their ids: more than paging can reach.
    private func walk(
        _ type: RecordType, at instant: Timestamp, _ properties: [String], _ report: @escaping @Sendable (FullSync.Report) async -> Void
    ) async throws {
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
            try await refresh(page, type, properties, report)
            guard page.after != nil, let last = page.records.compactMap({ Int64($0.id) }).max(), last > lastId else { return }
            lastId = last
        }
    }

    /// Reads the records of the page that the mirror does not have in that version: most of the overlap is known.
    private func refresh(
        _ page: SearchPage, _ type: RecordType, _ properties: [String], _ report: @escaping @Sendable (FullSync.Report) async -> Void
    ) async throws {
        let known = try await reader.versions(of: page.records.map(\.id), type)
        let changed = page.records.filter { record in known[record.id].map { $0 < record.updatedAt } ?? true }.map(\.id)
        for start in stride(from: 0, to: changed.count, by: HubSpotClient.batchMax) {
            let ids = Array(changed[start..<min(start + HubSpotClient.batchMax, changed.count)])
            let readAt = Timestamp.now
            let answer = try await hubspot.read(type, ids: ids, properties: properties, archived: false, as: .incremental)
            await report(.page(try await mirror.writePatiently(answer.records, of: type, readAt: readAt), answer.failures))
            // A survivor comes under its own id; who was merged into it is no longer live.
            for record in answer.records where !record.mergedIds.isEmpty {
                try await mirror.absorb(record.mergedIds, into: RecordKey(type, record.id), at: readAt)
            }
        }
    }
}
