import Bytes
import HTTPTypes
import HubSpot
import Hummingbird
import Model
import Rules
import Store
import Sync

/// Reading records, from the mirror or straight from HubSpot.
struct RecordRoutes {
    private static let limits = 1...1000
    /// Records that are written on the thread of their connection; more would keep it from others' requests for too long.
    private static let quickMax = 100

    let sources: ReadSources
    /// What was answered lately, to tell who has it that nothing has changed, without reading it again.
    let shown: WhileUnchanged<Shown.Key, Shown>
    let live: LiveRecords
    let refresh: RecordRefresh

    private var mirror: MirrorReader { sources.mirror }

    /// - Parameter group: `/api/admin/hubspot`
    func add(to group: RouterGroup<AppContext>) {
        for type in RecordType.allCases {
            group.get("\(type.rawValue)") { request, context in try await list(type, request, context) }
            group.get("\(type.rawValue)/:id") { request, context in try await record(type, request, context) }
            group.post("\(type.rawValue)/:id/refresh") { request, context in try await refreshed(type, request, context) }
        }
    }

    /// An answer of the mirror's, without its content.
    struct Shown: Sendable {
        enum Key: Hashable, Sendable {
            case list(MirrorQuery)
            case record(RecordKey)
        }

        let tag: EntityTag
        /// As `lastSynced` has it.
        let lastSynced: Timestamp?
    }

    // MARK: Lists

    private struct Listing {
        let documents: [BSONDocument]
        let after: String?
        let total: Int?
    }

    private func list(_ type: RecordType, _ request: Request, _ context: AppContext) async throws -> Response {
        let query = try query(type, request)
        guard query.limit > RecordRoutes.quickMax else { return try await list(query, request, context) }
        return try await withTaskExecutorPreference(globalConcurrentExecutor) { try await list(query, request, context) }
    }

    private func list(_ query: MirrorQuery, _ request: Request, _ context: AppContext) async throws -> Response {
        if let known = try known(.list(query), request) { return known }
        let revision = shown.revision
        let properties = request.text("properties").map { Set($0.split(separator: ",").map(String.init)) }
        // Begun while MongoDB was away, a list goes on where it began.
        let goesOnLive = query.after.map(LiveRecords.isCursor) ?? false
        let (listing, source) = try await sources.ask(request, context, goesOnLive: goesOnLive) {
            do {
                let page = try await mirror.page(query)
                return Listing(documents: page.documents, after: page.after, total: page.total)
            } catch let error as StoreError where error.kind == .badCursor {
                throw APIError.badValue(of: "after", "a cursor from paging.next.after of the same query")
            }
        } live: { source in
            // Of the mirror's own states HubSpot knows nothing.
            if source == .fallback, let status = query.syncStatus, status != .synced { throw ReadSources.mirrorIsAway }
            do {
                let page = try await live.page(query)
                return Listing(documents: page.documents, after: page.after, total: page.total)
            } catch LiveRecords.QueryError.badCursor {
                throw APIError.badValue(of: "after", "a cursor from paging.next.after of the same query")
            } catch LiveRecords.QueryError.foreignCursor {
                if source == .fallback { throw ReadSources.mirrorIsAway }
                throw APIError(
                    .badRequest, "cursor_of_other_source",
                    "after must be a cursor from the same source: this one is not HubSpot's; begin again without after")
            }
        }
        let tag = source == .mirror ? EntityTag(listing.documents, "\(listing.total ?? -1)", listing.after ?? "") : nil
        return answer(request, listing.documents, tag, of: .list(query), at: revision) { $0.object { json in
            json.key(query.type.rawValue)
            json.array { json in
                for document in listing.documents { RecordJSON.write(document, properties: properties, to: &json) }
            }
            source.write(to: &json)
            json.member("total", listing.total)
            json.key("paging")
            json.object { json in
                guard let after = listing.after else { return }
                json.key("next")
                json.object { json in
                    json.key("after")
                    json.string(after)
                }
            }
        } }
    }

    private func query(_ type: RecordType, _ request: Request) throws(APIError) -> MirrorQuery {
        var query = MirrorQuery(type, limit: type == .deals ? 100 : 50)
        if let limit = try request.integer("limit", RecordRoutes.limits) { query.limit = limit }
        query.after = request.text("after")
        query.syncStatus = try request.value("syncStatus", "one of synced, pending, error") { SyncStatus(rawValue: $0) }
        query.archived = try request.flag("archived") ?? false
        query.updatedAfter = try request.timestamp("updatedAfter")
        query.q = request.text("q")
        let fields = type.typedFields.map(\.name).joined(separator: ", ")
        let expected = "one of updatedAt, createdAt, lastSyncedAt, hubspotId, \(fields), with a - before it for descending order"
        if let sort = try request.value("sort", expected, { MirrorSort($0, of: type) }) { query.sort = sort }
        return query
    }

    // MARK: One record

    private struct Found {
        var document: BSONDocument?
        /// Older than asked for, as HubSpot could not be asked.
        var isStale = false
    }

    private func record(_ type: RecordType, _ request: Request, _ context: AppContext) async throws -> Response {
        let key = try key(type, context)
        let maxAge = try request.value("maxAge", "a time such as 30s, 5m or 0") { Duration(text: $0) }
        if maxAge == nil, let known = try known(.record(key), request) { return known }
        let revision = shown.revision
        let (found, source) = try await sources.ask(request, context) {
            try await mirrored(key, maxAge)
        } live: { _ in
            Found(document: try await live.record(key.type, key.id))
        }
        return try answer(request, key, found, source, at: revision)
    }

    /// What the mirror has, after a look at HubSpot when that is older than asked for.
    private func mirrored(_ key: RecordKey, _ maxAge: Duration?) async throws -> Found {
        let document = try await mirror.current(key.type, key.id)
        guard let maxAge else { return Found(document: document) }
        if let document, let syncedAt = RecordRoutes.lastSynced([document]), Timestamp.now - syncedAt <= maxAge { return Found(document: document) }
        do {
            try await refresh(key.type, document?["hubspotId"]?.string ?? key.id, .underWay)
        } catch where document != nil && RecordRoutes.isHubSpotAway(error) {
            return Found(document: document, isStale: true)
        }
        return Found(document: try await mirror.current(key.type, key.id))
    }

    private func refreshed(_ type: RecordType, _ request: Request, _ context: AppContext) async throws -> Response {
        let key = try key(type, context)
        let known = try await mirror.current(type, key.id)?["hubspotId"]?.string
        try await refresh(type, known ?? key.id, .anew)
        return try answer(request, key, Found(document: try await mirror.current(type, key.id)), .mirror, at: nil)
    }

    private func refresh(_ type: RecordType, _ id: String, _ freshness: RecordRefresh.Freshness) async throws {
        do {
            try await sources.askHubSpot { try await refresh.refresh(RecordKey(type, id), freshness) }
        } catch is RecordRefresh.BusyError {
            throw APIError(
                .serviceUnavailable, "too_many_refreshes", "\(RecordRefresh.recordsMax) records are being refreshed already; try again shortly",
                retryAfter: .seconds(1))
        }
    }

    private static func isHubSpotAway(_ error: any Error) -> Bool {
        (error as? HubSpotError)?.isTemporary ?? ((error as? APIError)?.status == .serviceUnavailable)
    }

    private func answer(_ request: Request, _ key: RecordKey, _ found: Found, _ source: ReadSource, at revision: UInt64?) throws -> Response {
        guard let document = found.document else { throw notFound(key.type, key.id) }
        let properties = request.text("properties").map { Set($0.split(separator: ",").map(String.init)) }
        let id = document["hubspotId"]?.string
        let tag = source == .mirror ? EntityTag([document], "\(found.isStale)") : nil
        return answer(request, [document], tag, of: .record(key), at: revision) { $0.object { json in
            json.key(key.type.singular)
            RecordJSON.write(document, properties: properties, to: &json)
            source.write(to: &json)
            // The id that was asked for is one that HubSpot merged into this record.
            if let id, id != key.id { json.member("mergedInto", id) }
            if found.isStale { json.member("stale", true) }
        } }
    }

    private func key(_ type: RecordType, _ context: AppContext) throws(APIError) -> RecordKey {
        let id = context.parameters.get("id") ?? ""
        // Nothing else can be an id of HubSpot's, so there is nothing to ask for.
        guard !id.isEmpty, id.utf8.count <= 20, id.utf8.allSatisfy({ $0 >= 48 && $0 <= 57 }) else { throw notFound(type, id) }
        return RecordKey(type, id)
    }

    private func notFound(_ type: RecordType, _ id: String) -> APIError {
        APIError(.notFound, "not_found", "There is no \(type.singular) with the id '\(id.prefix(40))'")
    }

    // MARK: Headers

    /// The answer with the age of what it shows; without a body for a GET whose client has the same content already.
    ///
    /// - Parameters:
    ///   - tag: nil for what HubSpot answered, which is another at each reading.
    ///   - revision: that of the mirror before it was read.
    private func answer(
        _ request: Request, _ documents: [BSONDocument], _ tag: EntityTag?, of key: Shown.Key, at revision: UInt64?,
        _ write: (inout JSONWriter) -> Void
    ) -> Response {
        let lastSynced = RecordRoutes.lastSynced(documents)
        if let tag {
            let answer = Shown(tag: tag, lastSynced: lastSynced)
            shown.note(answer, of: key, at: revision)
            if isKnown(tag, request) { return unchanged(answer) }
        }
        return headed(.json(.ok, capacity: documents.reduce(1024) { $0 + $1.bytes.count * 5 / 4 }, write), tag, lastSynced)
    }

    private func headed(_ response: Response, _ tag: EntityTag?, _ lastSynced: Timestamp?) -> Response {
        var response = response
        response.headers[.eTag] = tag?.description
        response.headers[.xMirrorAge] = lastSynced.map(RecordRoutes.age)
        return response
    }

    /// The answer without content, when the client has it and the mirror has not changed since it was read.
    private func known(_ key: Shown.Key, _ request: Request) throws(APIError) -> Response? {
        guard request.headers[.ifNoneMatch] != nil, try request.flag("useSync") ?? true, let shown = shown.value(of: key),
            isKnown(shown.tag, request)
        else { return nil }
        return unchanged(shown)
    }

    private func isKnown(_ tag: EntityTag, _ request: Request) -> Bool {
        (request.method == .get || request.method == .head) && tag.isKnown(by: request.headers)
    }

    private func unchanged(_ shown: Shown) -> Response {
        headed(Response(status: .notModified, headers: [.cacheControl: "no-store"]), shown.tag, shown.lastSynced)
    }

    private static func age(_ instant: Timestamp) -> String { String(max(0, (Timestamp.now - instant).milliseconds / 1000)) }

    /// When the oldest of them was last known to equal HubSpot; nil for none, and when it is not known of each.
    private static func lastSynced(_ documents: [BSONDocument]) -> Timestamp? {
        var oldest: Int64?
        for document in documents {
            guard let instant = document.elements.first(named: "lastSyncedAt")?.milliseconds else { return nil }
            oldest = min(oldest ?? instant, instant)
        }
        return oldest.map(Timestamp.init(milliseconds:))
    }
}

extension HTTPField.Name {
    static let xMirrorAge = Self("X-Mirror-Age")!
}
