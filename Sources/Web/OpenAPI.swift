import Bytes
import HTTPTypes
import Hummingbird
import Model
import Rules

/// The description of everything that is answered over HTTP, in OpenAPI 3.1. Records' fields come from `RecordType.typedFields`, and the
/// tests hold every answer against it, so it cannot drift from the code.
enum OpenAPI {
    static func addRoute(to router: Router<AppContext>) {
        router.get("/openapi.json") { _, _ in Response.json(.ok, json) }
    }

    /// Made once, at the first request.
    private static let json: [UInt8] = {
        var json = JSONWriter(capacity: 65_536)
        document.write(to: &json)
        return json.finish()
    }()

    private static let document: JSONTree = [
        "openapi": "3.1.0",
        "info": [
            "title": "hubspot-sync", "version": "1.0.0",
            "description": "A live mirror of a HubSpot account's contacts, companies and deals in MongoDB. Fields may be added to answers.",
            "license": ["name": "Apache 2.0", "identifier": "Apache-2.0"],
        ],
        "servers": [["url": "/"]],
        "security": [["bearer": []], ["cookie": []]],
        "paths": .object(records + changes + definitions + syncs + verification + webhooks + outside + pages),
        "components": [
            "securitySchemes": [
                "bearer": ["type": "http", "scheme": "bearer", "description": "The value of ADMIN_API_KEY."],
                "cookie": [
                    "type": "apiKey", "in": "cookie", "name": .text(Sessions.cookieName), "description": "Set by POST /api/admin/login.",
                ],
                "hubspotSignature": [
                    "type": "apiKey", "in": "header", "name": "X-HubSpot-Signature-v3",
                    "description":
                        "HMAC-SHA256 of method, URL, body and timestamp under the app's client secret, in base64. Or v1, v2 in X-HubSpot-Signature.",
                ],
            ],
            "schemas": .object(schemas + changeSchemas + definitionSchemas + verificationSchemas),
            "responses": [
                "badRequest": answer("A parameter or the body cannot be used: the error names it.", ref("Error")),
                "unauthorized": answer("Neither the key nor a session came with the request.", ref("Error")).with([
                    "headers": header("WWW-Authenticate", "How to log in.", isRequired: true)
                ]),
                "notFound": answer("There is no such thing.", ref("Error")),
                "error": answer("Whatever went wrong, in the form of all errors.", ref("Error")).with([
                    "headers": header("Retry-After", "Seconds after which another try may succeed.", count)
                ]),
            ],
        ],
    ]

    // MARK: Records

    private static var records: [(String, JSONTree)] {
        RecordType.allCases.flatMap { type -> [(String, JSONTree)] in
            let sortable = (["updatedAt", "createdAt", "lastSyncedAt", "hubspotId"] + type.typedFields.map(\.name)).flatMap { ["-" + $0, $0] }
            let list = operation(
                "list\(type.title)", "A page of \(type.rawValue), from the mirror or straight from HubSpot.",
                parameters: [
                    query("limit", "Records a page.", ["type": "integer", "minimum": 1, "maximum": 1000, "default": type == .deals ? 100 : 50]),
                    query("after", "The cursor of the page before, of the same query and source.", text),
                    useSync, shownProperties,
                    query("syncStatus", "Only records with this status.", status),
                    query("archived", "Records that were deleted in HubSpot, instead of those that were not.", ["type": "boolean", "default": false]),
                    query("updatedAfter", "Only records that changed in HubSpot after this instant.", instant, example: "2026-11-23T10:00:00Z"),
                    query("q", "The beginning of: \(type.searchedFields.joined(separator: ", ")). Case does not matter.", text, example: "an"),
                    query("sort", "The field to sort by, descending with a minus.", ["type": "string", "enum": names(sortable), "default": "-updatedAt"]),
                    ifNoneMatch,
                ], answers: [("200", tagged(answer("The page.", ref("\(type.title)Page"))).with(["links": links(from: type)])), notModified, badRequest])
            let single = operation(
                "get\(type.singularTitle)", "One \(type.singular), archived or not.",
                parameters: [
                    recordId, useSync, shownProperties,
                    query(
                        "maxAge", "The oldest that is good enough, such as 30s or 5m: what is older is read from HubSpot first.",
                        ["type": "string", "pattern": "^(0|[0-9]{1,4}(ms|s|m|h)|[0-9]{1,3}d)$"], example: "30s"), ifNoneMatch,
                ], answers: [("200", tagged(answer("The \(type.singular).", ref("\(type.singularTitle)Answer")))), notModified, badRequest, notFound])
            let refresh = operation(
                "refresh\(type.singularTitle)", "Reads one \(type.singular) from HubSpot into the mirror now, with its associations.",
                parameters: [recordId, shownProperties],
                answers: [("200", tagged(answer("The \(type.singular) as it is now.", ref("\(type.singularTitle)Answer")))), notFound])
            return [
                ("/api/admin/hubspot/\(type.rawValue)", ["get": list]), ("/api/admin/hubspot/\(type.rawValue)/{id}", ["get": single]),
                ("/api/admin/hubspot/\(type.rawValue)/{id}/refresh", ["post": refresh]),
            ]
        }
    }

    static let useSync = query(
        "useSync", "false reads straight from HubSpot. When MongoDB fails, HubSpot answers in its place.", ["type": "boolean", "default": true])
    private static let recordId = path("id", "HubSpot's id. One that was merged away leads to its survivor.", ["type": "string", "pattern": "^[0-9]{1,20}$"])
    private static let ifNoneMatch: JSONTree = [
        "name": "If-None-Match", "in": "header", "description": "The ETag of an answer that the client has.", "schema": text,
    ]
    private static let readHeaders: JSONTree = [
        "ETag": ["description": "Of what the mirror answers: the same as long as nothing of it changes.", "schema": text],
        "X-Mirror-Age": [
            "description": "Seconds since the record, the oldest of those shown, was last known to equal HubSpot.", "schema": count,
        ],
    ]
    private static let notModified: (String, JSONTree) = (
        "304", ["description": "The client has it, as If-None-Match says.", "headers": readHeaders]
    )
    private static func tagged(_ answer: JSONTree) -> JSONTree { answer.with(["headers": readHeaders]) }
    private static let shownProperties = query(
        "properties", "The HubSpot properties to show, comma-separated; all without it.", text, example: "email,name,dealname")

    /// What the first record of a list leads to.
    private static func links(from type: RecordType) -> JSONTree {
        let id: JSONTree = .text("$response.body#/\(type.rawValue)/0/hubspotId")
        let key: JSONTree = .text("\(type.rawValue):{$response.body#/\(type.rawValue)/0/hubspotId}")
        return [
            "record": link("get\(type.singularTitle)", ["id": id]), "refresh": link("refresh\(type.singularTitle)", ["id": id]),
            "next": link("list\(type.title)", ["after": "$response.body#/paging/next/after"]),
            "page": link("showRecord", ["type": .text(type.rawValue), "id": id]),
            "retry": link("retryTasks", ["record": key]), "retryByForm": link("retryByForm", body: ["record": key]),
        ]
    }

    // MARK: Syncs

    private static var syncs: [(String, JSONTree)] {
        let prefix = "/api/admin/hubspot/sync"
        let scope = path("scope", "What to sync.", ["type": "string", "enum": scopes])
        let limit = query("limit", "The most records of each type.", ["type": "integer", "minimum": 1, "maximum": .integer(SyncScope.limitMax)])
        let wait = query("wait", "false answers at once with 202.", ["type": "boolean", "default": true])
        let prefer: JSONTree = [
            "name": "Prefer", "in": "header", "description": "respond-async is wait=false.", "schema": text, "example": "respond-async",
        ]
        let id = path("id", "The run's id.", text)
        func start(_ name: String) -> JSONTree {
            operation(
                name, "Runs a sync, or joins the same one that is running. A client that hangs up does not stop it.",
                parameters: [scope, limit, wait, prefer],
                answers: [
                    (
                        "200",
                        answer("It is done.", ref("SyncResult")).with([
                            "headers": header("Content-Location", "The run.", isRequired: true), "links": runLinks("$response.body#/runId"),
                        ])
                    ),
                    (
                        "202",
                        answer("It runs.", ref("Run")).with([
                            "headers": header("Location", "Where to watch the run.", isRequired: true), "links": runLinks("$response.body#/id"),
                        ])
                    ), badRequest, notFound,
                    ("409", answer("It was cancelled.", anyOf("SyncResult", "Error"))),
                    ("502", answer("HubSpot did not let it proceed.", anyOf("SyncResult", "Error"))),
                    ("503", answer("MongoDB did not let it proceed, or the service stops.", anyOf("SyncResult", "Error"))),
                ])
        }
        return [
            ("\(prefix)/{scope}", ["get": start("getSync"), "post": start("postSync")]),
            (
                "\(prefix)/runs",
                [
                    "get": operation(
                        "listRuns", "Runs, newest first.",
                        parameters: [query("limit", "Runs at most.", ["type": "integer", "minimum": 1, "maximum": 200, "default": 20])],
                        answers: [("200", answer("The runs.", ref("Runs")).with(["links": runLinks("$response.body#/runs/0/id")])), badRequest])
                ]
            ),
            (
                "\(prefix)/runs/{id}",
                [
                    "get": operation("getRun", "A run with its progress.", parameters: [id], answers: [("200", answer("The run.", ref("Run"))), notFound]),
                    "delete": operation(
                        "cancelRun", "Cancels a run; what is written stays.", parameters: [id],
                        answers: [
                            ("200", answer("It had ended before.", ref("Run"))), ("202", answer("It is about to end.", ref("Run"))), notFound,
                        ]),
                ]
            ),
            (
                "\(prefix)/runs/{id}/events",
                [
                    "get": operation(
                        "watchRun", "The run after each change: events named progress, and done at its end. Their data is a Run.",
                        parameters: [id], answers: [("200", events([("progress", ref("Run")), ("done", ref("Run"))])), notFound])
                ]
            ),
            ("\(prefix)/status", ["get": operation("getStatus", "The state of everything.", answers: [("200", answer("The state.", ref("Status")))])]),
            (
                "/api/admin/hubspot/status/events",
                [
                    "get": operation(
                        "watchStatus", "The state of everything after each change, once a second at most: events named status. Their data is a Status.",
                        answers: [("200", events([("status", ref("Status"))]))])
                ]
            ),
        ]
    }

    private static func runLinks(_ id: JSONTree) -> JSONTree {
        .object(
            ["getRun", "watchRun", "cancelRun", "cancelRunByForm"].map { ($0, link($0, ["id": id])) })
    }

    // MARK: Webhooks

    private static var webhooks: [(String, JSONTree)] {
        let prefix = "/api/admin/hubspot"
        let list = operation(
            "listWebhooks", "Recent deliveries, newest first, and what became of them.",
            parameters: [
                query("limit", "Deliveries at most.", ["type": "integer", "minimum": 1, "maximum": 500, "default": 50]),
                query("after", "The cursor of the page before.", text),
                query("type", "Only those about this type.", typeName),
                query("hubspotId", "Only those about a record with this id.", ["type": "string", "pattern": "^[0-9]+$"], example: "151"),
                query("state", "Only those in this state.", ["type": "string", "enum": names(Delivery.State.allCases.map(\.rawValue))]),
            ], answers: [
                (
                    "200",
                    answer("The deliveries.", ref("Webhooks")).with([
                        "links": [
                            "next": link("listWebhooks", ["after": "$response.body#/paging/next/after"]),
                            "replay": link("replayWebhooks", ["id": "$response.body#/webhooks/0/id"]),
                            "replayByForm": link("replayByForm", body: ["id": "$response.body#/webhooks/0/id"]),
                        ]
                    ])
                ), badRequest,
            ])
        let replay = operation(
            "replayWebhooks", "Works on deliveries again.",
            parameters: [
                query("id", "One delivery; this or since is needed.", text),
                query("since", "All received from this instant on.", instant, example: "2026-11-23T10:00:00Z"),
                query("until", "With since: and before this one.", instant, example: "2026-11-23T11:00:00Z"),
            ], answers: [("202", answer("They are taken up.", ref("Replayed"))), badRequest, notFound]
        ).with(["x-requires-one-of": ["id", "since"]])
        let retry = operation(
            "retryTasks", "Tries again what was given up, or reads one record again.",
            parameters: [
                query("record", "Only this record, as contacts:151.", recordKey)
            ],
            answers: [("202", answer("It is taken up.", ref("Retried"))), badRequest, notFound])
        let failures = operation(
            "listFailures", "Records whose last attempt failed, of each type the one last known to be right first.",
            parameters: [
                query("limit", "Records of each type at most.", ["type": "integer", "minimum": 1, "maximum": 500, "default": 50]),
                query("type", "Only those of this type.", typeName),
            ], answers: [
                (
                    "200",
                    answer("The records.", ref("Failures")).with([
                        "links": [
                            "retry": link("retryTasks", ["record": "{$response.body#/failures/0/type}:{$response.body#/failures/0/hubspotId}"])
                        ]
                    ])
                ), badRequest,
            ])
        return [
            ("\(prefix)/webhooks", ["get": list]), ("\(prefix)/webhooks/replay", ["post": replay]), ("\(prefix)/tasks/retry", ["post": retry]),
            ("\(prefix)/failures", ["get": failures]),
        ]
    }

    // MARK: Around them

    private static var outside: [(String, JSONTree)] {
        let login = operation(
            "logIn", "Opens a session. Failures are slowed down.", .everybody,
            body: content("application/json", passwordForm),
            answers: [
                ("200", answer("Logged in.", ref("Done")).with(["headers": header("Set-Cookie", "The session.", isRequired: true)])),
                badRequest, unauthorized, ("429", answer("Too many failures from this address.", ref("Error"))),
            ])
        let webhook = operation(
            "receiveWebhook",
            "Takes HubSpot's events. Authenticated by HubSpot's signature of the raw body. 200 means that the events are durable.",
            .hubspot, parameters: signatureHeaders,
            body: content(
                "application/json", ["type": "array", "maxItems": .integer(WebhookBody.eventsMax), "items": ["type": "object"]],
                example: [
                    [
                        "eventId": 1, "subscriptionId": 2, "portalId": 62515, "appId": 3, "occurredAt": 1_795_521_600_000,
                        "subscriptionType": "contact.propertyChange", "attemptNumber": 0, "objectId": 151, "propertyName": "email",
                        "changeSource": "CRM_UI",
                    ]
                ]),
            answers: [
                ("200", answer("The events are stored.", ref("Received"))), badRequest,
                ("401", answer("The signature is bad, missing or expired.", ref("Error"))),
                ("413", answer("The body is too large or has too many events.", ref("Error"))),
                ("503", answer("The events cannot be stored now; send them again.", ref("Error"))),
            ])
        let ready: [(String, JSONTree)] = [("200", other("Yes.", "text/plain")), ("503", other("No.", "text/plain"))]
        return [
            ("/api/webhooks/hubspot", ["post": webhook]),
            ("/api/admin/login", ["post": login]),
            ("/api/admin/logout", ["post": operation("logOut", "Ends the session.", .everybody, answers: [("200", answer("Logged out.", ref("Done")).with(["headers": header("Set-Cookie", "Ends it.", isRequired: true)]))])]),
            ("/health/live", ["get": operation("isLive", "Whether the process works.", .everybody, answers: ready)]),
            ("/health/ready", ["get": operation("isReady", "Whether MongoDB answers and its indexes are there.", .everybody, answers: ready)]),
            ("/metrics", ["get": operation("getMetrics", "Counts and times for Prometheus.", .everybody, answers: [("200", other("Metrics.", "text/plain"))])]),
            (
                "/openapi.json",
                ["get": operation("getDescription", "This description.", .everybody, answers: [("200", answer("OpenAPI 3.1.", ["type": "object"]))])]
            ),
        ]
    }

    private static var signatureHeaders: [JSONTree] {
        [
            ("X-HubSpot-Request-Timestamp", "Milliseconds since 1970, at most five minutes off; part of the v3 signature."),
            ("X-HubSpot-Signature", "SHA-256 of secret and body (v1), or of secret, method, URL and body (v2), in hexadecimal."),
            ("X-HubSpot-Signature-Version", "v1 or v2."),
        ].map { name, description in
            ["name": .text(name), "in": "header", "description": .text(description), "schema": text]
        }
    }

    private static var pages: [(String, JSONTree)] {
        let form = content("application/x-www-form-urlencoded", passwordForm)
        let page = ("200", other("The page.", "text/html"))
        let elsewhere: (String, JSONTree) = (
            "303", ["description": "The page is at Location.", "headers": header("Location", "Where.", isRequired: true)]
        )
        let refused = [("401", other("The password is wrong.", "text/html")), ("429", other("Too many failures.", "text/html"))]
        let notFound = [("404", other("There is no such thing.", "text/html"))]
        let wrong = [("400", other("The request cannot be understood.", "text/html"))]
        let away = [("503", other("MongoDB cannot be reached.", "text/html"))]
        let foreign = [("403", other("The form stood on another site's page.", "text/html"))]
        let after = query("after", "The cursor of the page before.", text)
        func shown(_ id: String, _ summary: String, _ parameters: [JSONTree] = [], _ more: [(String, JSONTree)] = []) -> JSONTree {
            ["get": operation(id, summary + " Without a session it leads to the login.", .people, parameters: parameters, answers: [page, elsewhere] + away + more)]
        }
        func done(
            _ id: String, _ summary: String, _ fields: [(String, JSONTree)], parameters: [JSONTree] = [], _ more: [(String, JSONTree)]
        ) -> JSONTree {
            let body = content("application/x-www-form-urlencoded", ["type": "object", "properties": .object(fields)])
            return [
                "post": operation(
                    id, summary + " For the page's forms, with a session.", .people, parameters: parameters, body: body,
                    answers: [elsewhere] + away + foreign + more)
            ]
        }
        func asset(_ id: String, _ name: String, _ type: String) -> (String, JSONTree) {
            (
                "/admin/\(name)",
                ["get": operation(id, "A part of the pages.", .everybody, parameters: [ifNoneMatch], answers: [("200", other("The file.", type).with(["headers": header("ETag", "Changes with the file.", isRequired: true)])), ("304", ["description": "It has not changed."])])]
            )
        }
        return [
            ("/", ["get": operation("showStart", "Leads to the admin page.", .everybody, answers: [elsewhere])]),
            ("/admin", shown("showOverview", "The admin page.")),
            (
                "/admin/records",
                shown(
                    "showRecords", "Records of the mirror.",
                    [
                        query("q", "The beginning of a name, an address or a domain, or an id.", text, example: "an"),
                        query("type", "Only this type.", orEmpty(RecordType.allCases.map(\.rawValue))),
                        query("status", "Only these.", orEmpty(SyncStatus.allCases.map(\.rawValue) + ["archived"])), after,
                    ], wrong)
            ),
            ("/admin/records/{type}/{id}", shown("showRecord", "One record.", [path("type", "Its type.", typeName), path("id", "HubSpot's id.", text)], notFound)),
            (
                "/admin/deliveries",
                shown(
                    "showDeliveries", "Webhook deliveries.",
                    [query("state", "Only those in this state.", orEmpty(Delivery.State.allCases.map(\.rawValue))), after], wrong)
            ),
            (
                "/admin/events",
                [
                    "get": operation(
                        "watchOverview", "The sections of the admin page after each change: events named section, their data HTML.",
                        answers: [("200", events([("section", text)]))])
                ]
            ),
            ("/admin/sync", done("startSyncByForm", "Starts a sync.", [("scope", ["type": "string", "enum": scopes]), ("limit", ["type": "string", "pattern": "^([1-9][0-9]{0,7})?$"])], wrong)),
            ("/admin/runs/{id}/cancel", done("cancelRunByForm", "Cancels a sync.", [], parameters: [path("id", "The run's id.", text)], notFound)),
            ("/admin/retry", done("retryByForm", "Tries again what was given up, or reads one record again.", [("record", recordKey), ("back", text)], wrong + notFound)),
            ("/admin/replay", done("replayByForm", "Works on a delivery again.", [("id", text), ("back", text)], notFound)),
            asset("getStylesheet", "page.css", "text/css"), asset("getScript", "page.js", "text/javascript"), asset("getIcon", "icon.svg", "image/svg+xml"),
            (
                "/admin/login",
                [
                    "get": operation("showLogin", "The login form.", .everybody, answers: [page]),
                    "post": operation("logInByForm", "Opens a session.", .everybody, body: form, answers: [elsewhere] + refused),
                ]
            ),
            ("/admin/logout", ["post": operation("logOutByForm", "Ends the session.", .everybody, answers: [elsewhere])]),
        ]
    }

    // MARK: Schemas

    private static let scopes: JSONTree = ["all", "contacts", "companies", "deals", "incremental", "reconcile"]
    private static let passwordForm: JSONTree = [
        "type": "object", "required": ["password"],
        "properties": ["password": ["type": "string", "format": "password", "description": "The value of ADMIN_API_KEY."]],
    ]
    static let text: JSONTree = ["type": "string"]
    static let flag: JSONTree = ["type": "boolean"]
    static let count: JSONTree = ["type": "integer", "minimum": 0]
    static let countOrNull: JSONTree = ["type": ["integer", "null"], "minimum": 0]
    static let instant: JSONTree = ["type": "string", "format": "date-time"]
    static let instantOrNull: JSONTree = ["type": ["string", "null"], "format": "date-time"]
    private static let typeName: JSONTree = ["type": "string", "enum": names(RecordType.allCases.map(\.rawValue))]
    private static let recordKey: JSONTree = ["type": "string", "pattern": "^(contacts|companies|deals):"]
    private static let paging = closed([], optional: [("next", closed([("after", text)]))])
    private static let status: JSONTree = ["type": "string", "enum": names(SyncStatus.allCases.map(\.rawValue))]

    private static var schemas: [(String, JSONTree)] {
        [
            (
                "Error",
                closed([
                    ("success", ["const": false]), ("error", text), ("code", ["type": "string", "description": "Machine-readable, stable."]),
                    ("requestId", ["type": "string", "description": "What the log calls this request."]),
                ])
            ),
            ("Done", closed([("success", ["const": true])])),
            (
                "SyncResult",
                closed(
                    [
                        ("success", flag), ("synced", described(count, "Records created in the mirror.")),
                        ("updated", described(count, "Records that existed and were refreshed.")),
                        ("errors", described(count, "Records that failed.")),
                        ("errorMessages", ["type": "array", "maxItems": .integer(Run.errorMessagesMax), "items": text]),
                        ("unchanged", described(count, "Those of updated that held no new data.")),
                        ("archived", described(count, "Records found deleted in HubSpot.")), ("runId", text), ("durationMs", count),
                        ("byType", byType("Counts")),
                    ],
                    optional: [("error", described(text, "Why the run could not proceed.")), ("code", text)])
            ),
            ("Counts", closed(counts)), ("Progress", closed(progress + counts)),
            (
                "Run",
                closed(
                    [
                        ("id", text), ("scope", ["type": "string", "enum": scopes]), ("limit", countOrNull),
                        ("state", ["type": "string", "enum": names(Run.State.allCases.map(\.rawValue))]), ("resumptions", count), ("startedAt", instant),
                        ("finishedAt", instantOrNull),
                    ] + progress + [
                        ("byType", byType("Progress")), ("result", ["anyOf": [ref("SyncResult"), ["type": "null"]]]),
                    ])
            ),
            ("Runs", closed([("runs", list(ref("Run")))])),
            (
                "MirrorCounts",
                closed(["total", "synced", "pending", "error", "archived"].map { ($0, countOrNull) } + [("lastSyncedAt", instantOrNull)])
            ),
            ("Status", closed(statusFields)),
            ("Received", closed([("success", ["const": true]), ("events", count)])),
            ("Replayed", closed([("success", ["const": true]), ("replayed", count)])),
            ("Retried", closed([("success", ["const": true]), ("records", count), ("deliveries", count)])),
            ("Failures", closed([("failures", list(ref("Failure")))])),
            (
                "Failure",
                closed([
                    ("type", typeName), ("hubspotId", text), ("name", described(text, "What people call it.")), ("syncError", ["type": ["string", "null"]]),
                    ("lastSyncedAt", described(instantOrNull, "When it was last known to equal HubSpot.")), ("updatedAt", instantOrNull),
                ])
            ),
            ("Webhooks", closed([("webhooks", list(ref("Delivery"))), ("paging", paging)])),
            (
                "Delivery",
                closed([
                    ("id", text), ("receivedAt", instant), ("signature", described(text, "v1, v2, v3, or replay.")),
                    ("state", ["type": "string", "enum": names(Delivery.State.allCases.map(\.rawValue))]), ("finishedAt", instantOrNull),
                    ("failed", described(list(text), "Records that were given up, as contacts:151.")), ("events", list(ref("Event"))),
                ])
            ),
            (
                "Event",
                closed(
                    [
                        ("subscriptionType", text), ("type", ["type": ["string", "null"]]), ("objectId", ["type": ["string", "null"]]),
                        ("occurredAt", instantOrNull),
                    ],
                    optional: [
                        ("eventId", ["type": "integer"]), ("attemptNumber", ["type": "integer"]), ("propertyName", text),
                        ("mergedObjectIds", list(text)), ("newObjectId", text), ("from", text), ("to", text),
                    ])
            ),
        ]
            + RecordType.allCases.flatMap { type -> [(String, JSONTree)] in
                let name = type.singularTitle
                return [
                    (name, record(type)),
                    (
                        "\(type.title)Page",
                        closed(
                            [(type.rawValue, list(ref(name)))] + source + [
                                ("total", described(countOrNull, "Of the whole query; null where HubSpot does not count.")),
                                ("paging", paging),
                            ], optional: [fallback])
                    ),
                    (
                        "\(name)Answer",
                        closed(
                            [(type.singular, ref(name))] + source,
                            optional: [
                                fallback, ("mergedInto", described(text, "The id of this record, when another was asked for that was merged into it.")),
                                ("stale", described(["const": true], "Older than maxAge allows, as HubSpot could not be asked.")),
                            ])
                    ),
                ]
            }
    }

    private static let counts: [(String, JSONTree)] = ["synced", "updated", "errors", "unchanged", "archived"].map { ($0, count) }

    private static let progress: [(String, JSONTree)] = [
        ("processed", count), ("total", countOrNull), ("ratePerSecond", ["type": "number", "minimum": 0]), ("etaMs", countOrNull),
    ]

    static let source: [(String, JSONTree)] = [("source", ["type": "string", "enum": ["mongodb", "hubspot"]]), ("synced", flag)]
    static let fallback: (String, JSONTree) = ("fallback", described(["const": true], "MongoDB failed, now or for the page before, so HubSpot answered."))

    private static let rateLimit: [(String, JSONTree)] =
        ["limit", "intervalMs", "remaining", "allotted", "inFlight", "pausedMs", "searchLimit", "searchAllotted", "searchRemaining"]
        .map { ($0, count) }
        + [
            ("waiting", closed(CallClass.allCases.map { ($0.description, count) })),
            ("pauseReason", ["type": ["string", "null"]]), ("dailyLimit", countOrNull), ("dailyRemaining", countOrNull),
            (
                "dailyHeld",
                described(list(["type": "string"]), "Classes of calls that leave the rest of the day's quota to more urgent ones.")
            ),
            ("instances", described(countOrNull, "Instances that share the limits; `allotted` is this one's part of `limit`.")),
        ]

    private static var statusFields: [(String, JSONTree)] {
        RecordType.allCases.map { ($0.rawValue, ref("MirrorCounts")) } + [
            ("tasks", closed(["queued", "inFlight", "retrying", "failed", "oldestAgeMs"].map { ($0, countOrNull) })),
            (
                "webhooks",
                closed([
                    ("received", countOrNull), ("rejected", countOrNull), ("lastReceivedAt", instantOrNull),
                    ("lagMs", closed(["p50", "p99"].map { ($0, ["type": ["number", "null"]]) })),
                ])
            ),
            (
                "runs",
                closed([
                    ("active", list(ref("Run"))),
                    ("last", described(["type": "object", "additionalProperties": ref("Run")], "The last one of each scope.")),
                ])
            ),
            ("verify", described(["anyOf": [ref("Verification"), ["type": "null"]]], "The last comparison of mirror and HubSpot.")),
            ("verifying", described(countOrNull, "Records that a comparison under way in this instance has looked at.")),
            ("definitions", closed(DefinitionSet.all.map { ($0.description, ref("DefinitionState")) })),
            (
                "hubspot",
                closed([
                    ("reachable", flag),
                    ("rateLimit", closed(rateLimit)),
                ])
            ),
            ("mongodb", closed([("reachable", flag)])),
            ("countedAt", described(instantOrNull, "When the records were counted: now, or some seconds ago where there are very many.")),
        ]
    }

    private static func record(_ type: RecordType) -> JSONTree {
        let typed = type.typedFields.map { field -> (String, JSONTree) in
            switch field.kind {
            case .string: (field.name, ["type": ["string", "null"]])
            case .number: (field.name, ["type": ["number", "null"]])
            case .date: (field.name, instantOrNull)
            }
        }
        return closed(
            [("hubspotId", text)] + typed + [
                ("properties", ["type": "object", "additionalProperties": ["type": ["string", "null"]], "description": "As HubSpot has them."]),
                ("mergedIds", described(list(text), "Ids that were merged into this record.")), ("archived", flag), ("archivedAt", instantOrNull),
                ("createdAt", described(instant, "In HubSpot.")), ("updatedAt", described(instant, "In HubSpot.")), ("syncStatus", status),
                ("lastSyncedAt", described(instantOrNull, "When it was last known to equal HubSpot.")),
                ("syncError", ["type": ["string", "null"]]),
            ])
    }

    // MARK: Words of OpenAPI

    static func ref(_ name: String) -> JSONTree { ["$ref": .text("#/components/schemas/\(name)")] }
    static func anyOf(_ all: String...) -> JSONTree { ["anyOf": .array(all.map(ref))] }
    static func list(_ items: JSONTree) -> JSONTree { ["type": "array", "items": items] }
    static func names(_ names: [String]) -> JSONTree { .array(names.map(JSONTree.text)) }
    static func described(_ schema: JSONTree, _ text: String) -> JSONTree { schema.with(["description": .text(text)]) }

    /// An object with these members; of the first all are always there.
    static func closed(_ required: [(String, JSONTree)], optional: [(String, JSONTree)] = []) -> JSONTree {
        ["type": "object", "required": names(required.map(\.0)), "properties": .object(required + optional)]
    }

    private static func byType(_ schema: String) -> JSONTree {
        ["type": "object", "properties": .object(RecordType.allCases.map { ($0.rawValue, ref(schema)) })]
    }

    static func query(_ name: String, _ description: String, _ schema: JSONTree, example: JSONTree? = nil) -> JSONTree {
        var members: [(String, JSONTree)] = [
            ("name", .text(name)), ("in", "query"), ("description", .text(description)), ("schema", schema),
        ]
        if let example { members.append(("example", example)) }
        return .object(members)
    }

    static var someTypes: JSONTree {
        let one = RecordType.allCases.map(\.rawValue).joined(separator: "|")
        return query(
            "types", "Some of contacts, companies, deals, comma-separated; all without it.",
            ["type": "string", "pattern": .text("^(\(one))(,(\(one)))*$")], example: "contacts,deals")
    }

    static func path(_ name: String, _ description: String, _ schema: JSONTree) -> JSONTree {
        ["name": .text(name), "in": "path", "required": true, "description": .text(description), "schema": schema]
    }

    /// What a form's choice sends: one of these, or nothing for all.
    private static func orEmpty(_ values: [String]) -> JSONTree { ["type": "string", "enum": names(values + [""])] }

    private static func content(_ type: String, _ schema: JSONTree, example: JSONTree? = nil) -> JSONTree {
        var members: [(String, JSONTree)] = [("schema", schema)]
        if let example { members.append(("example", example)) }
        return ["required": true, "content": .object([(type, .object(members))])]
    }

    static func header(_ name: String, _ description: String, _ schema: JSONTree = text, isRequired: Bool = false) -> JSONTree {
        let header: JSONTree = ["description": .text(description), "required": .bool(isRequired), "schema": schema]
        return .object([(name, header)])
    }

    /// Where values of an answer lead to.
    private static func link(_ operation: String, _ parameters: JSONTree? = nil, body: JSONTree? = nil) -> JSONTree {
        var members: [(String, JSONTree)] = [("operationId", .text(operation))]
        if let parameters { members.append(("parameters", parameters)) }
        if let body { members.append(("requestBody", body)) }
        return .object(members)
    }

    /// Server-sent events, by their names what their data is. OpenAPI 3.1 has no word of its own for that.
    static func events(_ data: [(String, JSONTree)]) -> JSONTree {
        ["description": "Events.", "content": ["text/event-stream": ["schema": text, "x-events": .object(data)]]]
    }

    static let badRequest: (String, JSONTree) = ("400", ["$ref": "#/components/responses/badRequest"])
    static let unauthorized: (String, JSONTree) = ("401", ["$ref": "#/components/responses/unauthorized"])
    static let notFound: (String, JSONTree) = ("404", ["$ref": "#/components/responses/notFound"])

    private static func media(_ type: String, _ schema: JSONTree) -> JSONTree { .object([(type, .object([("schema", schema)]))]) }

    static func answer(_ description: String, _ schema: JSONTree) -> JSONTree {
        ["description": .text(description), "content": media("application/json", schema)]
    }

    private static func other(_ description: String, _ type: String) -> JSONTree {
        ["description": .text(description), "content": media(type, text)]
    }

    /// Who may call an operation.
    enum Callers {
        /// Who has the key or a session.
        case admin
        /// The same; anybody else is led to the login.
        case people
        case hubspot
        case everybody
    }

    static func operation(
        _ id: String, _ summary: String, _ callers: Callers = .admin, parameters: [JSONTree] = [], body: JSONTree? = nil,
        answers: [(String, JSONTree)]
    ) -> JSONTree {
        var members: [(String, JSONTree)] = [("operationId", .text(id)), ("summary", .text(summary))]
        let security: JSONTree? =
            switch callers {
            case .admin: nil
            case .people: .array([["bearer": []], ["cookie": []], [:]])
            case .hubspot: .array([["hubspotSignature": []]])
            case .everybody: []
            }
        if let security { members.append(("security", security)) }
        if !parameters.isEmpty { members.append(("parameters", .array(parameters))) }
        if let body { members.append(("requestBody", body)) }
        let others: (String, JSONTree) = ("default", ["$ref": "#/components/responses/error"])
        members.append(("responses", .object(answers + (callers == .admin ? [unauthorized] : []) + [others])))
        return .object(members)
    }
}

extension RecordType {
    fileprivate var title: String { rawValue.prefix(1).uppercased() + rawValue.dropFirst() }
    fileprivate var singularTitle: String { singular.prefix(1).uppercased() + singular.dropFirst() }
}
