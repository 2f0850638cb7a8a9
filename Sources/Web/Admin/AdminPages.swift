import Bytes
import HTTPTypes
import Hummingbird
import Logging
import Model
import Mongo
import Store
import Sync

/// The pages for people: what is going on, the records, the deliveries, and the forms that do something about them.
///
/// Rendered here and whole without a script; `page.js` makes them live. Nothing is loaded from elsewhere.
struct AdminPages {
    static let eventsPath = "/admin/events"
    private static let pageSize = 50
    /// Records of each type that a search shows.
    private static let searchMax = 20
    private static let historyMax = 20
    private static let associationsMax = 50

    let authentication: Authentication
    let overview: OverviewSource
    let feed: StatusFeed
    let streams: EventStreams
    let actions: AdminActions
    let account: AccountIdentity
    let templates: Templates

    private var mirror: MirrorReader { overview.mirror }
    private var inbox: Inbox { overview.inbox }

    func add(to router: Router<AppContext>) {
        router.get("/") { _, _ in Response.redirect(to: "/admin") }
        addAssets(to: router)
        addLogin(to: router)
        let pages = router.group("/admin").add(middleware: PageGuard(authentication: authentication, templates: templates))
        pages.get { request, context in
            let overview = await overview.now(context.logger)
            return page(.ok, self.overview.page(overview, note: request.text("note").flatMap(AdminPages.sentence)))
        }
        pages.get("events") { request, _ in streams.response(to: request, try await feed.watch(.page)) }
        pages.get("records") { request, _ in try await records(request) }
        pages.get("records/:type/:id") { request, context in try await record(request, context) }
        pages.get("deliveries") { request, _ in try await deliveries(request) }
        addForms(to: pages)
    }

    private func addAssets(to router: Router<AppContext>) {
        for asset in [
            Asset("page.css", "text/css; charset=utf-8", PackageResources.page_css),
            Asset("page.js", "text/javascript; charset=utf-8", PackageResources.page_js),
            Asset("icon.svg", "image/svg+xml", PackageResources.icon_svg),
        ] {
            router.get("/admin/\(RouterPath(asset.name))") { request, _ in asset.response(to: request) }
        }
    }

    // MARK: Login

    private func addLogin(to router: Router<AppContext>) {
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
    }

    func loginPage(error: String?) -> String {
        var values: [String: Any] = ["title": "Log in"]
        values["error"] = error
        return templates.render("login", values)
    }

    // MARK: Records

    private func records(_ request: Request) async throws -> Response {
        let type = try request.value("type", "one of contacts, companies, deals") { RecordType(rawValue: $0) }
        if let q = request.text("q")?.trimmed.nonEmpty { return try await search(q, type) }
        var query = MirrorQuery(type ?? .contacts, limit: AdminPages.pageSize)
        let status = request.text("status") ?? ""
        query.archived = status == "archived"
        if !query.archived {
            query.syncStatus = try request.value("status", "one of synced, pending, error, archived") { SyncStatus(rawValue: $0) }
        }
        query.after = request.text("after")
        let found: (documents: [BSONDocument], after: String?)
        do {
            found = try await mirror.documents(query)
        } catch let error as StoreError where error.kind == .badCursor {
            throw APIError.badValue(of: "after", "what a link to the next page holds")
        }
        let place = "/admin/records?type=\(query.type.rawValue)" + (status.isEmpty ? "" : "&status=\(status.formEncoded)")
        var values: [String: Any] = [
            "title": query.type.rawValue.capitalized, "nothing": "There is none.",
            "statuses": AdminPages.options(["": "all", "synced": "synced", "pending": "pending", "error": "error", "archived": "archived"], status),
        ]
        if query.after != nil { values["first"] = place }
        values["next"] = found.after.map { "\(place)&after=\($0.formEncoded)" }
        return page(.ok, recordsPage(values, [(query.type, found.documents)], type: query.type.rawValue, all: false))
    }

    private func search(_ q: String, _ type: RecordType?) async throws -> Response {
        var found: [(RecordType, [BSONDocument])] = []
        for type in type.map({ [$0] }) ?? RecordType.allCases {
            found.append((type, try await mirror.search(type, beginningWith: q, limit: AdminPages.searchMax)))
        }
        let values: [String: Any] = [
            "title": "Records that begin with “\(q)”", "q": q, "limit": AdminPages.searchMax,
            "isCut": found.contains { $0.1.count == AdminPages.searchMax },
            "nothing": "No record has a name, an email address, a domain or an id like that in the mirror. Names and addresses are found by how they begin.",
        ]
        return page(.ok, recordsPage(values, found, type: type?.rawValue ?? "", all: true))
    }

    private func recordsPage(_ values: [String: Any], _ found: [(RecordType, [BSONDocument])], type: String, all: Bool) -> String {
        let records = found.flatMap { type, documents in documents.map { row($0, of: type) } }
        let types = KeyValuePairs(dictionaryLiteral: ("contacts", "contacts"), ("companies", "companies"), ("deals", "deals"))
        return templates.render(
            "records",
            values.merging(
                [
                    "isRecords": true, "hasRecords": !records.isEmpty, "records": records,
                    "types": (all ? AdminPages.options(["": "all"], type) : []) + AdminPages.options(types, type),
                ]) { first, _ in first })
    }

    private func row(_ document: BSONDocument, of type: RecordType) -> [String: Any] {
        let id = document["_id"]?.string ?? ""
        let status = document["syncStatus"]?.string.flatMap(SyncStatus.init)
        let isArchived = document["archived"]?.bool ?? false
        var values: [String: Any] = [
            "id": id, "href": RecordKey(type, id).path, "name": type.name(of: document), "singular": type.singular, "about": type.about(document),
            "status": isArchived ? "archived" : status?.rawValue ?? "", "level": isArchived ? "" : status?.level ?? "",
        ]
        values["message"] = document["syncError"]?.string
        values["at"] = document["hubspotUpdatedAt"]?.milliseconds.map { Timestamp(milliseconds: $0).words }
        return values
    }

    private static func options(_ options: KeyValuePairs<String, String>, _ chosen: String) -> [[String: Any]] {
        options.map { ["value": $0.key, "text": $0.value, "isChosen": $0.key == chosen] }
    }

    // MARK: One record

    private func record(_ request: Request, _ context: AppContext) async throws -> Response {
        let id = context.parameters.get("id") ?? ""
        guard let type = context.parameters.get("type").flatMap(RecordType.init) else { throw AdminPages.noRecord }
        guard let document = try await mirror.record(type, id) else { throw AdminPages.noRecord }
        let key = RecordKey(type, id)
        var query = Inbox.Query()
        query.limit = AdminPages.historyMax
        query.type = type
        query.hubspotId = id
        let history = try await inbox.deliveries(query)
        let associations = AdminPages.associations(of: document), properties = AdminPages.properties(of: document)
        var values: [String: Any] = [
            "title": type.name(of: document), "isRecords": true, "name": type.name(of: document), "type": type.rawValue, "key": key.description,
            "back": key.path, "isArchived": document["archived"]?.bool ?? false, "facts": AdminPages.facts(document),
            "hasAssociations": !associations.isEmpty,
            "associations": associations.prefix(AdminPages.associationsMax).map { ["href": $0.path, "text": "\($0.type.singular) \($0.id)"] },
            "hasDeliveries": !history.isEmpty, "deliveries": history.map { $0.words(about: key, back: key.path) },
            "properties": properties.full,
        ]
        if !properties.empty.isEmpty {
            values["empty"] = ["count": properties.empty.count.of("property", "properties"), "names": properties.empty.joined(separator: ", ")]
        }
        if associations.count > AdminPages.associationsMax { values["moreAssociations"] = (associations.count - AdminPages.associationsMax).grouped }
        values["hubspot"] = await account.link(to: key)
        values["problem"] = document["syncError"]?.string
        values["note"] = request.text("note").flatMap(AdminPages.sentence)
        return page(.ok, templates.render("record", values))
    }

    private static let noRecord = APIError(
        .notFound, "not_found", "The mirror has no such record: HubSpot never had it, it was merged into another, or erased for privacy.")

    private static func facts(_ document: BSONDocument) -> [[String: Any]] {
        func time(_ name: String, _ field: String) -> [String: Any]? {
            document[field]?.milliseconds.map { ["name": name, "at": Timestamp(milliseconds: $0).words] }
        }
        var facts: [[String: Any]] = [["name": "HubSpot's id", "text": document["_id"]?.string ?? ""]]
        if let status = document["syncStatus"]?.string {
            facts.append(["name": "Status", "badge": ["text": status, "level": SyncStatus(rawValue: status)?.level ?? ""]])
        }
        facts += [
            time("Known to equal HubSpot", "lastSyncedAt"), time("Changed in HubSpot", "hubspotUpdatedAt"),
            time("Created in HubSpot", "hubspotCreatedAt"), time("Deleted in HubSpot", "archivedAt"),
        ].compactMap(\.self)
        let merged = document["mergedIds"]?.array?.compactMap(\.string) ?? []
        if !merged.isEmpty { facts.append(["name": "Merged into it", "text": merged.joined(separator: ", ")]) }
        return facts
    }

    private static func associations(of document: BSONDocument) -> [RecordKey] {
        RecordType.allCases.flatMap { type in
            (document["associations"]?.document?[type.rawValue]?.array ?? []).compactMap { $0.string.map { RecordKey(type, $0) } }
        }
    }

    /// Those with a value, and the names of the others, each by name.
    private static func properties(of document: BSONDocument) -> (full: [[String: Any]], empty: [String]) {
        var full: [(String, String)] = []
        var empty: [String] = []
        for element in document.elements where element.isNamed("properties") {
            for property in element.document.elements {
                if let value = property.string, !value.isEmpty { full.append((property.name, value)) } else { empty.append(property.name) }
            }
        }
        return (full.sorted { $0.0 < $1.0 }.map { ["name": $0.0, "value": $0.1] }, empty.sorted())
    }

    // MARK: Deliveries

    private func deliveries(_ request: Request) async throws -> Response {
        var query = Inbox.Query()
        query.limit = AdminPages.pageSize
        query.before = request.text("after")
        query.state = try request.value("state", "one of pending, done, failed") { Delivery.State(rawValue: $0) }
        let found = try await inbox.deliveries(query)
        let state = query.state?.rawValue ?? ""
        let place = "/admin/deliveries" + (state.isEmpty ? "" : "?state=\(state)")
        var values: [String: Any] = [
            "title": "Webhook deliveries", "isDeliveries": true, "hasDeliveries": !found.isEmpty, "deliveries": found.map { $0.words(back: place) },
            "states": AdminPages.options(["": "all", "pending": "pending", "done": "done", "failed": "failed"], state),
        ]
        values["note"] = request.text("note").flatMap(AdminPages.sentence)
        if query.before != nil { values["first"] = place }
        if found.count == query.limit, let last = found.last {
            values["next"] = place + (state.isEmpty ? "?" : "&") + "after=\(last.id.formEncoded)"
        }
        return page(.ok, templates.render("log", values))
    }

    // MARK: Forms, for browsers without a script; with one, the same is asked of the API

    private static let formMax = 4096

    private func addForms(to pages: RouterGroup<AppContext>) {
        pages.post("sync") { request, _ in
            let form = try await AdminPages.form(request)
            let limit = try form.formField("limit").flatMap { $0.isEmpty ? nil : $0 }.map { text throws(APIError) in
                guard let limit = Int(text), (1...SyncScope.limitMax).contains(limit) else {
                    throw .badValue(of: "limit", "a whole number from 1 to \(SyncScope.limitMax)")
                }
                return limit
            }
            guard let scope = form.formField("scope").flatMap({ SyncScope(name: $0, limit: limit) }) else {
                throw APIError.badValue(of: "scope", "all, contacts, companies, deals, incremental or reconcile")
            }
            try await actions.start(scope)
            return Response.redirect(to: "/admin?note=sync")
        }
        pages.post("runs/:id/cancel") { _, context in
            _ = try await actions.cancel(context.parameters.get("id") ?? "")
            return Response.redirect(to: "/admin?note=cancel")
        }
        pages.post("retry") { request, _ in
            let form = try await AdminPages.form(request)
            if let record = form.formField("record") {
                guard let key = RecordKey(record) else { throw APIError.badValue(of: "record", "a record as contacts:151") }
                _ = try await actions.retry(key)
            } else {
                _ = try await actions.retryAll()
            }
            return AdminPages.back(form, note: "retry")
        }
        pages.post("replay") { request, _ in
            let form = try await AdminPages.form(request)
            _ = try await actions.replay(form.formField("id") ?? "")
            return AdminPages.back(form, note: "replay")
        }
    }

    private static func form(_ request: Request) async throws -> String {
        String(buffer: try await request.body.collect(upTo: formMax))
    }

    /// Leads to the page that the form stood on, and nowhere else.
    private static func back(_ form: String, note: String) -> Response {
        let place = form.formField("back") ?? "/admin"
        let isOurs = place == "/admin" || place.hasPrefix("/admin/") || place.hasPrefix("/admin?")
        let isPlain = place.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "\\") }
        let path = isOurs && isPlain ? place : "/admin"
        return Response.redirect(to: path + (path.contains("?") ? "&" : "?") + "note=\(note)")
    }

    /// What a form did, for the page that it leads to.
    private static func sentence(_ note: String) -> String? {
        switch note {
        case "sync": "The sync runs."
        case "cancel": "The sync is about to end."
        case "retry": "It is read again from HubSpot."
        case "replay": "The delivery is worked on again."
        default: nil
        }
    }

    private func page(_ status: HTTPResponse.Status, _ html: String) -> Response { .page(status, html) }
}

/// Lets only people who are logged in see pages, and their own pages' forms do something. Errors become pages too.
struct PageGuard: RouterMiddleware {
    let authentication: Authentication
    let templates: Templates

    func handle(
        _ request: Request, context: AppContext, next: (Request, AppContext) async throws -> Response
    ) async throws -> Response {
        guard let caller = try authentication.admit(request, context) else {
            // A stream cannot follow to a page.
            if request.uri.path == AdminPages.eventsPath { throw APIError(.unauthorized, "unauthorized", "Log in at /admin/login") }
            return Response.redirect(to: "/admin/login")
        }
        var context = context
        context.caller = caller
        do {
            // A browser adds the cookie by itself; another site's page must not be able to use that. Links from there may lead here.
            if request.method == .post, caller == .session, !isOwn(request) {
                throw APIError(.forbidden, "cross_site", "Forms of other sites' pages are refused")
            }
            return try await next(request, context)
        } catch {
            let answer = ErrorAnswers.answer(to: error)
            if request.uri.path == AdminPages.eventsPath { throw answer }
            if answer.status.code >= 500 {
                context.logger.warning(
                    "Page failed", metadata: ["path": "\(request.uri.path)", "code": "\(answer.code)", "error": "\(error)"])
            }
            return templates.page(of: answer)
        }
    }

    /// Whether a page of this service sent the form. Browsers tell it; what tells nothing is no browser.
    private func isOwn(_ request: Request) -> Bool {
        if let site = request.headers[.secFetchSite]?.lowercased() { return site == "same-origin" || site == "none" }
        guard let origin = request.headers[.origin] else { return true }
        return origin.split(separator: "/").last.map(String.init) == request.head.authority
    }
}

/// A file that the pages load; a browser keeps it and asks whether it has changed.
struct Asset: Sendable {
    let name: String
    private let type: String
    private let bytes: ByteBuffer
    private let tag: String

    init(_ name: String, _ type: String, _ bytes: [UInt8]) {
        self.name = name
        self.type = type
        self.bytes = ByteBuffer(bytes: bytes)
        var fingerprint = Fingerprint()
        fingerprint.add(bytes)
        tag = "\"\(String(UInt64(bitPattern: fingerprint.value), radix: 36))\""
    }

    func response(to request: Request) -> Response {
        var headers: HTTPFields = [.cacheControl: "no-cache", .eTag: tag, .xContentTypeOptions: "nosniff", .crossOriginResourcePolicy: "same-origin"]
        let known = request.headers[.ifNoneMatch]?.split(separator: ",").map { $0.drop { $0 == " " } } ?? []
        if known.contains(where: { $0 == tag || $0 == "W/\(tag)" || $0 == "*" }) { return Response(status: .notModified, headers: headers) }
        headers[.contentType] = type
        return Response(status: .ok, headers: headers, body: ResponseBody(byteBuffer: bytes))
    }
}

extension Response {
    /// A page that no cache keeps: it holds personal data or the state of a moment.
    static func page(_ status: HTTPResponse.Status, _ html: String) -> Response {
        Response(
            status: status,
            headers: [
                .contentType: "text/html; charset=utf-8", .cacheControl: "no-store", .contentSecurityPolicy:
                    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
                .xContentTypeOptions: "nosniff", .referrerPolicy: "same-origin", .crossOriginOpenerPolicy: "same-origin",
                .crossOriginResourcePolicy: "same-origin",
            ],
            body: ResponseBody(byteBuffer: ByteBuffer(string: html)))
    }

    /// 303, so that a reload does not post again.
    static func redirect(to path: String) -> Response {
        Response(status: .seeOther, headers: [.location: path, .cacheControl: "no-store"])
    }
}

extension HTTPField.Name {
    static let referrerPolicy = Self("Referrer-Policy")!
    static let crossOriginOpenerPolicy = Self("Cross-Origin-Opener-Policy")!
    static let crossOriginResourcePolicy = Self("Cross-Origin-Resource-Policy")!
}

extension String {
    /// Without blanks around it.
    fileprivate var trimmed: String {
        let rest = drop { $0.isWhitespace }
        return String(rest[..<(rest.lastIndex { !$0.isWhitespace }.map { rest.index(after: $0) } ?? rest.startIndex)])
    }

    fileprivate var capitalized: String { prefix(1).uppercased() + dropFirst() }
}
