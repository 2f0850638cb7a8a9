import Bytes
import Hummingbird
import Model
import Sync

/// Reading properties, pipelines and owners, from the mirror or straight from HubSpot.
struct DefinitionRoutes {
    let definitions: Definitions
    let sources: ReadSources

    /// - Parameter group: `/api/admin/hubspot`
    func add(to group: RouterGroup<AppContext>) {
        group.get("properties/:type") { request, context in
            let name = context.parameters.get("type") ?? ""
            guard let type = RecordType(rawValue: name) else {
                throw APIError(
                    .notFound, "not_found", "There are no properties of '\(name.prefix(40))': use contacts, companies or deals")
            }
            return try await list(.properties(type), request, context)
        }
        group.get("pipelines") { request, context in try await list(.pipelines(.deals), request, context) }
        group.get("owners") { request, context in try await list(.owners, request, context) }
    }

    private func list(_ set: DefinitionSet, _ request: Request, _ context: AppContext) async throws -> Response {
        let archived = try request.flag("archived") ?? false
        let (documents, source) = try await sources.ask(request, context) {
            try await definitions.mirrored(set, archived: archived)
        } live: { _ in
            try await definitions.live(set, archived: archived)
        }
        return Response.json { $0.object { json in
            json.array(set.collection) { json in for document in documents { RecordJSON.write(document, properties: nil, to: &json) } }
            source.write(to: &json)
            json.member("total", documents.count)
        } }
    }
}
