import Bytes
import HTTPTypes
import Hummingbird
import Model
import ServiceLifecycle
import Sync

/// Starting syncs, watching them, cancelling them.
struct SyncRoutes {
    let runs: Runs
    let streams: EventStreams

    /// - Parameter group: `/api/admin/hubspot/sync`
    func add(to group: RouterGroup<AppContext>) {
        group.get("runs") { request, _ in
            let limit = try request.integer("limit", 1...200) ?? 20
            let runs = try await runs.latest(limit: limit)
            return Response.json { $0.object { json in
                json.key("runs")
                json.array { json in for run in runs { run.write(to: &json) } }
            } }
        }
        group.get("runs/:id") { _, context in
            let run = try await find(context) { try await runs.run($0) }
            return Response.json { run.write(to: &$0) }
        }
        group.delete("runs/:id") { _, context in
            let run = try await find(context) { try await runs.cancel($0) }
            return Response.json(run.isFinished ? .ok : .accepted) { run.write(to: &$0) }
        }
        group.get("runs/:id/events") { request, context in try await events(request, context) }
        // HEAD promises to change nothing, which a GET of this path does.
        group.on(":scope", method: .head) { _, _ -> Response in throw APIError.notAllowed(but: [.get, .post]) }
        group.post(":scope") { request, context in try await start(request, context) }
        group.get(":scope") { request, context in try await start(request, context) }
    }

    private func find(_ context: AppContext, _ load: (String) async throws -> Run?) async throws -> Run {
        let id = context.parameters.get("id") ?? ""
        guard let run = try await load(id) else { throw APIError(.notFound, "unknown_run", "There is no run with that id") }
        return run
    }

    private func start(_ request: Request, _ context: AppContext) async throws -> Response {
        let name = context.parameters.get("scope") ?? ""
        let limit = try request.integer("limit", 1...SyncScope.limitMax)
        let prefersAsync = request.headers[values: .prefer].contains { $0.lowercased().contains("respond-async") }
        let waits = try request.flag("wait") ?? !prefersAsync
        guard let scope = SyncScope(name: name, limit: limit) else {
            throw APIError(.notFound, "unknown_sync", "There is no such sync: use all, contacts, companies or deals")
        }
        let started = try await runs.start(scope)
        let location = "/api/admin/hubspot/sync/runs/\(started.id)"
        guard waits else {
            var response = Response.json(.accepted) { started.write(to: &$0) }
            response.headers[.location] = location
            if prefersAsync { response.headers[.preferenceApplied] = "respond-async" }
            return response
        }
        // The service cannot stop while a request waits for a run that it stops only after the requests.
        guard let run = try await cancelWhenGracefulShutdown({ try await runs.finished(started.id) }) else {
            throw APIError(.serviceUnavailable, "interrupted", "The run is gone; start the sync again")
        }
        var response = Response.json(SyncRoutes.status(of: run)) { run.writeResult(to: &$0) }
        response.headers[.contentLocation] = location
        return response
    }

    private static func status(of run: Run) -> HTTPResponse.Status {
        switch run.failureCode {
        case nil: .ok
        case .cancelled: .conflict
        case .mongodbUnreachable, .mongodbRefused, .interrupted: .serviceUnavailable
        case .hubspotUnreachable, .hubspotUnauthorized, .hubspotMissingScopes, .hubspotRefused: .badGateway
        }
    }

    /// The run after each change, as server-sent events named `progress`, and `done` at its end.
    private func events(_ request: Request, _ context: AppContext) async throws -> Response {
        let id = context.parameters.get("id") ?? ""
        guard let updates = try await runs.updates(of: id) else {
            throw APIError(.notFound, "unknown_run", "There is no run with that id")
        }
        return streams.response(to: request, updates) { run in
            var json = JSONWriter(capacity: 1024)
            run.write(to: &json)
            return [ServerEvent(topic: "run", name: run.isFinished ? "done" : "progress", data: String(decoding: json.finish(), as: UTF8.self))]
        }
    }
}
