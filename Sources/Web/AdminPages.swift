import HTTPTypes
import Hummingbird
import Logging
import Model
import Mustache
import Store
import Sync

/// The pages for people: the login and the overview. Server-rendered; nothing is loaded from elsewhere.
struct AdminPages {
    let authentication: Authentication
    let mirror: MirrorReader
    let runs: Runs
    private let login: MustacheTemplate
    private let overview: MustacheTemplate

    init(authentication: Authentication, mirror: MirrorReader, runs: Runs) throws {
        self.authentication = authentication
        self.mirror = mirror
        self.runs = runs
        login = try MustacheTemplate(string: AdminPages.head + AdminPages.loginBody)
        overview = try MustacheTemplate(string: AdminPages.head + AdminPages.overviewBody)
    }

    func add(to router: Router<AppContext>) {
        router.get("/") { _, _ in Response.redirect(to: "/admin") }
        router.get("/admin/login") { _, _ in page(.ok, loginPage(error: nil)) }
        router.post("/admin/login") { request, context in
            let body = try await request.body.collect(upTo: LoginRoutes.bodyMax)
            do throws(APIError) {
                let cookie = try authentication.logIn(
                    password: String(buffer: body).formField("password") ?? "", request: request, context: context)
                var response = Response.redirect(to: "/admin")
                response.headers[.setCookie] = cookie
                return response
            } catch {
                var response = page(error.status, loginPage(error: error.message))
                if let retryAfter = error.retryAfter { response.headers[.retryAfter] = String(retryAfter.components.seconds + 1) }
                return response
            }
        }
        router.post("/admin/logout") { request, _ in
            var response = Response.redirect(to: "/admin/login")
            response.headers[.setCookie] = authentication.logOut(request)
            return response
        }
        router.get("/admin") { request, context in
            guard authentication.caller(of: request) != nil else { return Response.redirect(to: "/admin/login") }
            return try await showOverview(context)
        }
    }

    private func showOverview(_ context: AppContext) async throws -> Response {
        var rows: [[String: String]] = []
        var isReachable = true
        var latest: [Run] = []
        do {
            let counts = try await mirror.counts()
            rows = RecordType.allCases.map { type in
                let counts = counts[type] ?? MirrorCounts()
                return [
                    "type": type.rawValue, "total": "\(counts.total)", "synced": "\(counts.synced)", "pending": "\(counts.pending)",
                    "error": "\(counts.error)", "archived": "\(counts.archived)",
                    "lastSyncedAt": counts.lastSyncedAt?.iso8601 ?? "never",
                ]
            }
            latest = try await runs.latest(limit: 10)
        } catch {
            isReachable = false
            context.logger.warning("Page without MongoDB", metadata: ["error": "\(error)"])
        }
        let runRows = latest.map { run in
            [
                "id": run.id, "scope": run.scope.name, "state": run.state.rawValue, "startedAt": run.startedAt.iso8601,
                "processed": "\(run.sum.processed)", "total": run.sum.total.map { "\($0)" } ?? "?", "errors": "\(run.sum.errors)",
            ]
        }
        let values: [String: Any] = ["title": "Overview", "rows": rows, "runs": runRows, "unreachable": !isReachable]
        return page(.ok, overview.render(values))
    }

    /// Values are escaped for HTML wherever a template names them.
    func loginPage(error: String?) -> String {
        var values: [String: Any] = ["title": "Log in"]
        values["error"] = error
        return login.render(values)
    }

    private func page(_ status: HTTPResponse.Status, _ html: String) -> Response {
        Response(
            status: status,
            headers: [
                .contentType: "text/html; charset=utf-8", .cacheControl: "no-store", .contentSecurityPolicy:
                    "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
                .xContentTypeOptions: "nosniff", .referrerPolicy: "same-origin",
            ],
            body: ResponseBody(byteBuffer: ByteBuffer(string: html)))
    }

    private static let head = """
        <!doctype html>
        <html lang="en">
        <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <meta name="color-scheme" content="light dark">
        <title>{{title}} · hubspot-sync</title>
        <style>
        body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 1rem; }
        table { border-collapse: collapse; width: 100%; }
        .wide { overflow-x: auto; }
        th, td { text-align: left; padding: .3rem .7rem .3rem 0; border-bottom: 1px solid color-mix(in srgb, currentColor 20%, transparent); }
        .number { text-align: right; font-variant-numeric: tabular-nums; }
        label, input, button { font: inherit; }
        input { padding: .4rem; min-width: 16rem; }
        button { padding: .4rem 1rem; cursor: pointer; }
        .problem { padding: .5rem 1rem; border-left: 4px solid #c22; }
        header { display: flex; justify-content: space-between; align-items: center; gap: 1rem; flex-wrap: wrap; }
        </style>
        </head>

        """

    private static let loginBody = """
        <body>
        <main>
        <h1>hubspot-sync</h1>
        {{#error}}<p class="problem" role="alert">{{error}}</p>{{/error}}
        <form method="post" action="/admin/login">
        <p><label for="password">Admin key</label><br>
        <input id="password" name="password" type="password" autocomplete="current-password" required autofocus></p>
        <p><button type="submit">Log in</button></p>
        </form>
        </main>
        </body>
        </html>
        """

    private static let overviewBody = """
        <body>
        <header><h1>hubspot-sync</h1><form method="post" action="/admin/logout"><button type="submit">Log out</button></form></header>
        <main>
        {{#unreachable}}<p class="problem" role="alert">MongoDB cannot be reached. Reads are answered by HubSpot meanwhile.</p>{{/unreachable}}
        <h2>Mirror</h2>
        <div class="wide"><table>
        <thead><tr><th scope="col">Type</th><th scope="col" class="number">Total</th><th scope="col" class="number">Synced</th>
        <th scope="col" class="number">Pending</th><th scope="col" class="number">Error</th><th scope="col" class="number">Archived</th>
        <th scope="col">Last synced</th></tr></thead>
        <tbody>{{#rows}}<tr><th scope="row">{{type}}</th><td class="number">{{total}}</td><td class="number">{{synced}}</td>
        <td class="number">{{pending}}</td><td class="number">{{error}}</td><td class="number">{{archived}}</td><td>{{lastSyncedAt}}</td></tr>
        {{/rows}}</tbody></table></div>
        <h2>Latest syncs</h2>
        <div class="wide"><table>
        <thead><tr><th scope="col">Started</th><th scope="col">Scope</th><th scope="col">State</th><th scope="col" class="number">Records</th>
        <th scope="col" class="number">Of</th><th scope="col" class="number">Errors</th></tr></thead>
        <tbody>{{#runs}}<tr><td>{{startedAt}}</td><td>{{scope}}</td><td>{{state}}</td><td class="number">{{processed}}</td>
        <td class="number">{{total}}</td><td class="number">{{errors}}</td></tr>
        {{/runs}}</tbody></table></div>
        </main>
        </body>
        </html>
        """
}

extension Response {
    /// 303, so that a reload does not post again.
    static func redirect(to path: String) -> Response {
        Response(status: .seeOther, headers: [.location: path, .cacheControl: "no-store"])
    }
}

extension HTTPField.Name {
    static let referrerPolicy = Self("Referrer-Policy")!
}
