public import Bytes
public import HubSpot
public import Model
import Rules
public import Store

/// Reads straight from HubSpot, in the same order, with the same filters and in the same form as from the mirror.
///
/// Search finds the ids, a batch read brings the records: search lags, and lists of property names stay out of it. HubSpot's own
/// limits remain: paging ends after 10,000 hits, and archived records come in the order of their ids, filtered here.
public struct LiveRecords: Sendable {
    private let hubspot: HubSpotClient
    private let catalog: PropertyCatalog

    public init(hubspot: HubSpotClient, catalog: PropertyCatalog) {
        self.hubspot = hubspot
        self.catalog = catalog
    }

    /// Documents as the mirror would hold them, except for associations.
    public struct Page: Sendable {
        public let documents: [BSONDocument]
        public let after: String?
        /// Nil where HubSpot does not count: archived records.
        public let total: Int?
    }

    /// Why a query cannot be answered from HubSpot.
    public enum QueryError: Error, Sendable { case badCursor, foreignCursor }

    /// Whether `text` looks like a page's `after`, whatever it is worth.
    public static func isCursor(_ text: String) -> Bool { Cursor.parts(text)?.first == Cursor.mark }

    /// - Throws: `HubSpotError`; `QueryError` for a cursor that is damaged or the mirror's.
    public func page(_ query: MirrorQuery) async throws -> Page {
        let cursor = try query.after.map { try Cursor($0, query) }
        // A record that was just read from HubSpot is synced by definition.
        if let status = query.syncStatus, status != .synced { return Page(documents: [], after: nil, total: 0) }
        let properties = try await catalog.names(of: query.type, as: .live)
        return query.archived ? try await archivedPage(query, cursor, properties) : try await livePage(query, cursor, properties)
    }

    /// One record, archived or not; nil when HubSpot has none. A merged-away id brings its survivor.
    public func record(_ type: RecordType, _ id: String) async throws -> BSONDocument? {
        let properties = try await catalog.names(of: type, as: .live)
        for archived in [false, true] {
            let answer = try await hubspot.read(type, ids: [id], properties: properties, archived: archived, as: .live)
            if let record = answer.records.first { return record.mirrorDocument(at: .now) }
            if let failure = answer.failures.first { throw HubSpotError(.damaged, failure.message) }
        }
        return nil
    }

    private func livePage(_ query: MirrorQuery, _ cursor: Cursor?, _ properties: [String]) async throws -> Page {
        var documents: [BSONDocument] = []
        var after = cursor?.after
        var total = 0
        repeat {
            // HubSpot refuses a page that would reach beyond its cap.
            let reachable = SearchQuery.hitsMax - (after.flatMap { Int($0) } ?? 0)
            let limit = min(query.limit - documents.count, reachable)
            let found = try await hubspot.search(query.type, search(query, limit: limit, after: after), as: .live)
            total = found.total
            after = found.after.flatMap { Int($0).map { $0 < SearchQuery.hitsMax } ?? true ? $0 : nil }
            documents += try await read(found.records.map(\.id), query.type, properties)
        } while documents.count < query.limit && after != nil
        return Page(documents: documents, after: after.map { Cursor(after: $0).encoded(for: query) }, total: total)
    }

    /// In the order of `ids`; without those that are gone since the search index saw them.
    private func read(_ ids: [String], _ type: RecordType, _ properties: [String]) async throws -> [BSONDocument] {
        var documents: [BSONDocument] = []
        var rest = ids[...]
        while !rest.isEmpty {
            let part = Array(rest.prefix(100))
            rest = rest.dropFirst(100)
            let answer = try await hubspot.read(type, ids: part, properties: properties, archived: false, as: .live)
            let byId = Dictionary(answer.records.map { ($0.id, $0) }, uniquingKeysWith: { first, _ in first })
            documents += part.compactMap { byId[$0]?.mirrorDocument(at: .now) }
        }
        return documents
    }

    private func archivedPage(_ query: MirrorQuery, _ cursor: Cursor?, _ properties: [String]) async throws -> Page {
        var documents: [BSONDocument] = []
        var after = cursor?.after
        var pages = 0
        repeat {
            pages += 1
            let page: RecordPage
            do throws(HubSpotError) {
                page = try await hubspot.page(
                    of: query.type, after: after, limit: min(100, query.limit - documents.count), properties: properties, archived: true,
                    as: .live)
            } catch {
                // What else could be wrong in this request is not the caller's.
                if case .rejected = error.kind, cursor != nil { throw QueryError.badCursor }
                throw error
            }
            documents += page.records.filter { LiveRecords.isAfter(query, $0) }.map { $0.mirrorDocument(at: .now) }
                .filter { LiveRecords.hasPrefix(query, $0) }
            after = page.after
        } while documents.count < query.limit && after != nil && pages < LiveRecords.archivedPagesMax
        return Page(documents: documents, after: after.map { Cursor(after: $0).encoded(for: query) }, total: nil)
    }

    /// HubSpot's list of archived records knows no filters. A page may so have less than its limit and still be followed by others.
    private static let archivedPagesMax = 20

    private static func isAfter(_ query: MirrorQuery, _ record: Record) -> Bool {
        query.updatedAfter.map { record.updatedAt > $0 } ?? true
    }

    private static func hasPrefix(_ query: MirrorQuery, _ document: BSONDocument) -> Bool {
        guard let q = query.q?.lowercased() else { return true }
        return query.type.searchedFields.contains { document[$0]?.string?.lowercased().hasPrefix(q) ?? false }
    }

    private func search(_ query: MirrorQuery, limit: Int, after: String?) -> SearchQuery {
        var common: [SearchQuery.Filter] = []
        if let instant = query.updatedAfter {
            common.append(.init(query.type.modifiedProperty, .greater, String(instant.milliseconds)))
        }
        var groups = common.isEmpty ? [] : [common]
        if let q = query.q {
            groups = query.type.searchedFields.compactMap { name in
                query.type.typedFields.first { $0.name == name }.map { common + [.init($0.property, .containsToken, q + "*")] }
            }
        }
        return SearchQuery(
            groups: groups, sortedBy: property(of: query.sort, query.type), isAscending: !query.sort.isDescending,
            limit: min(SearchQuery.limitMax, limit), after: after)
    }

    private func property(of sort: MirrorSort, _ type: RecordType) -> String {
        switch sort.name {
        case "createdAt": "createdate"
        case "hubspotId": "hs_object_id"
        // All of them are synced now: the newest change stands in for the latest sync.
        case "updatedAt", "lastSyncedAt": type.modifiedProperty
        case let name: type.typedFields.first { $0.name == name }?.property ?? type.modifiedProperty
        }
    }

    /// HubSpot's cursor with what it belongs to, so that a cursor of another sort or of the mirror is refused and not misread.
    private struct Cursor {
        static let mark = "hubspot"

        let after: String

        init(after: String) { self.after = after }

        init(_ text: String, _ query: MirrorQuery) throws(QueryError) {
            guard let parts = Cursor.parts(text) else { throw .badCursor }
            guard parts.count == 4, parts[0] == Cursor.mark else { throw .foreignCursor }
            guard parts[1] == query.sort.text, parts[2] == "\(query.archived)", Cursor.isUsable(parts[3], query) else { throw .badCursor }
            after = parts[3]
        }

        static func parts(_ text: String) -> [String]? {
            guard let bytes = Base64.url.decode(text) else { return nil }
            return String(decoding: bytes, as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        }

        /// A search counts hits; what the list of archived records ends a page with is HubSpot's own business.
        private static func isUsable(_ after: String, _ query: MirrorQuery) -> Bool {
            query.archived || Int(after).map { (0..<SearchQuery.hitsMax).contains($0) } ?? false
        }

        func encoded(for query: MirrorQuery) -> String {
            Base64.url.encode(Array("\(Cursor.mark)\n\(query.sort.text)\n\(query.archived)\n\(after)".utf8))
        }
    }
}
