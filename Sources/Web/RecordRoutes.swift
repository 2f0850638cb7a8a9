import Bytes
import HubSpot
import Hummingbird
import Logging
import Model
import Mongo
import Store
import Sync

/// Reading records, from the mirror or straight from HubSpot.
struct RecordRoutes {
    private static let limits = 1...1000

    let mirror: MirrorReader
    let live: LiveRecords

    /// - Parameter group: `/api/admin/hubspot`
    func add(to group: RouterGroup<AppContext>) {
        for type in RecordType.allCases {
            group.get("\(type.rawValue)") { request, context in try await list(type, request, context) }
            group.get("\(type.rawValue)/:id") { request, context in try await record(type, request, context) }
        }
    }

    // MARK: Lists

    private struct Listing {
        let documents: [BSONDocument]
        let after: String?
        let total: Int?
    }

    private func list(_ type: RecordType, _ request: Request, _ context: AppContext) async throws -> Response {
        let query = try query(type, request)
        let properties = request.text("properties").map { Set($0.split(separator: ",").map(String.init)) }
        let (listing, source) = try await fromMirrorOrHubSpot(request, context) {
            do {
                let page = try await mirror.page(query)
                return Listing(documents: page.documents, after: page.after, total: page.total)
            } catch let error as StoreError where error.kind == .badCursor {
                throw APIError.badValue(of: "after", "a cursor from paging.next.after of the same query")
            }
        } live: {
            do {
                let page = try await live.page(query)
                return Listing(documents: page.documents, after: page.after, total: page.total)
            } catch LiveRecords.QueryError.badCursor {
                throw APIError.badValue(of: "after", "a cursor from paging.next.after of the same query")
            } catch LiveRecords.QueryError.foreignCursor {
                throw APIError(
                    .badRequest, "cursor_of_other_source",
                    "after must be a cursor from the same source: this one is not HubSpot's; begin again without after")
            }
        }
        return Response.json { $0.object { json in
            json.key(type.rawValue)
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

    private func record(_ type: RecordType, _ request: Request, _ context: AppContext) async throws -> Response {
        let id = context.parameters.get("id") ?? ""
        // Nothing else can be an id of HubSpot's, so there is nothing to ask for.
        guard !id.isEmpty, id.utf8.count <= 20, id.utf8.allSatisfy({ $0 >= 48 && $0 <= 57 }) else { throw notFound(type, id) }
        let properties = request.text("properties").map { Set($0.split(separator: ",").map(String.init)) }
        let (document, source) = try await fromMirrorOrHubSpot(request, context) {
            try await mirror.record(type, id)
        } live: {
            try await live.record(type, id)
        }
        guard let document else { throw notFound(type, id) }
        return Response.json { $0.object { json in
            json.key(type.singular)
            RecordJSON.write(document, properties: properties, to: &json)
            source.write(to: &json)
        } }
    }

    private func notFound(_ type: RecordType, _ id: String) -> APIError {
        APIError(.notFound, "not_found", "There is no \(type.singular) with the id '\(id.prefix(40))'")
    }

    // MARK: Source

    private enum Source {
        case mirror, hubspot, fallback

        func write(to json: inout JSONWriter) {
            json.key("source")
            json.string(self == .mirror ? "mongodb" : "hubspot")
            json.key("synced")
            json.bool(self == .mirror)
            if self == .fallback {
                json.key("fallback")
                json.bool(true)
            }
        }
    }

    /// Asks the mirror, and HubSpot when the request says so or MongoDB fails.
    private func fromMirrorOrHubSpot<Answer>(
        _ request: Request, _ context: AppContext, mirror: () async throws -> Answer, live: () async throws -> Answer
    ) async throws -> (Answer, Source) {
        guard try request.flag("useSync") ?? true else { return (try await live(), .hubspot) }
        do {
            return (try await mirror(), .mirror)
        } catch let error as MongoError {
            context.logger.warning("The mirror failed; HubSpot answers instead", metadata: ["error": "\(error)"])
            return (try await live(), .fallback)
        }
    }
}
