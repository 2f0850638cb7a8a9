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
        "paths": .object(records + syncs + webhooks + outside + pages),
        "components": [
            "securitySchemes": [
                "bearer": ["type": "http", "scheme": "bearer", "description": "The value of ADMIN_API_KEY."],
                "cookie": [
                    "type": "apiKey", "in": "cookie", "name": .text(Sessions.cookieName), "description": "Set by POST /api/admin/login.",
                ],
            ],
            "schemas": .object(schemas),
            "responses": ["error": answer("Whatever went wrong, in the form of all errors.", ref("Error"))],
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
                    query("updatedAfter", "Only records that changed in HubSpot after this instant.", instant),
                    query("q", "The beginning of: \(type.searchedFields.joined(separator: ", ")). Case does not matter.", text),
                    query("sort", "The field to sort by, descending with a minus.", ["type": "string", "enum": names(sortable), "default": "-updatedAt"]),
                ], answers: [("200", answer("The page.", ref("\(type.title)Page")))])
            let single = operation(
                "get\(type.singularTitle)", "One \(type.singular), archived or not.",
                parameters: [path("id", "HubSpot's id.", ["type": "string", "pattern": "^[0-9]{1,20}$"]), useSync, shownProperties],
                answers: [("200", answer("The \(type.singular).", ref("\(type.singularTitle)Answer")))])
            return [
                ("/api/admin/hubspot/\(type.rawValue)", ["get": list]), ("/api/admin/hubspot/\(type.rawValue)/{id}", ["get": single]),
            ]
        }
    }

    private static let useSync = query(
        "useSync", "false reads straight from HubSpot. When MongoDB fails, HubSpot answers in its place.", ["type": "boolean", "default": true])
    private static let shownProperties = query("properties", "The HubSpot properties to show, comma-separated; all without it.", text)

    // MARK: Syncs

    private static var syncs: [(String, JSONTree)] {
        let prefix = "/api/admin/hubspot/sync"
        let scope = path("scope", "What to sync.", ["type": "string", "enum": ["all", "contacts", "companies", "deals", "incremental"]])
        let limit = query("limit", "The most records of each type.", ["type": "integer", "minimum": 1, "maximum": .integer(SyncScope.limitMax)])
        let wait = query("wait", "false answers at once with 202.", ["type": "boolean", "default": true])
        let prefer: JSONTree = [
            "name": "Prefer", "in": "header", "description": "respond-async is wait=false.", "schema": text,
        ]
        let id = path("id", "The run's id.", text)
        func start(_ name: String) -> JSONTree {
            operation(
                name, "Runs a sync, or joins the same one that is running. A client that hangs up does not stop it.",
                parameters: [scope, limit, wait, prefer],
                answers: [
                    ("200", answer("It is done.", ref("SyncResult"))),
                    (
                        "202",
                        answer("It runs.", ref("Run")).with([
                            "headers": ["Location": ["description": "Where to watch the run.", "schema": text]]
                        ])
                    ),
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
                        answers: [("200", answer("The runs.", ref("Runs")))])
                ]
            ),
            (
                "\(prefix)/runs/{id}",
                [
                    "get": operation("getRun", "A run with its progress.", parameters: [id], answers: [("200", answer("The run.", ref("Run")))]),
                    "delete": operation(
                        "cancelRun", "Cancels a run; what is written stays.", parameters: [id],
                        answers: [
                            ("200", answer("It had ended before.", ref("Run"))), ("202", answer("It is about to end.", ref("Run"))),
                        ]),
                ]
            ),
            (
                "\(prefix)/runs/{id}/events",
                [
                    "get": operation(
                        "watchRun", "The run after each change: events named progress, and done at its end. Their data is a Run.",
                        parameters: [id], answers: [("200", other("Events.", "text/event-stream"))])
                ]
            ),
            ("\(prefix)/status", ["get": operation("getStatus", "The state of everything.", answers: [("200", answer("The state.", ref("Status")))])]),
        ]
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
                query("hubspotId", "Only those about a record with this id.", ["type": "string", "pattern": "^[0-9]+$"]),
                query("state", "Only those in this state.", ["type": "string", "enum": names(Delivery.State.allCases.map(\.rawValue))]),
            ], answers: [("200", answer("The deliveries.", ref("Webhooks")))])
        let replay = operation(
            "replayWebhooks", "Works on deliveries again.",
            parameters: [
                query("id", "One delivery.", text), query("since", "All received from this instant on.", instant),
                query("until", "With since: and before this one.", instant),
            ], answers: [("202", answer("They are taken up.", ref("Replayed")))])
        let retry = operation(
            "retryTasks", "Tries again what was given up.", answers: [("202", answer("It is taken up.", ref("Retried")))])
        return [
            ("\(prefix)/webhooks", ["get": list]), ("\(prefix)/webhooks/replay", ["post": replay]), ("\(prefix)/tasks/retry", ["post": retry]),
        ]
    }

    // MARK: Around them

    private static var outside: [(String, JSONTree)] {
        let login = operation(
            "logIn", "Opens a session. Failures are slowed down.", isOpen: true,
            body: content("application/json", ["type": "object", "required": ["password"], "properties": ["password": text]]),
            answers: [
                (
                    "200",
                    answer("Logged in.", ref("Done")).with(["headers": ["Set-Cookie": ["description": "The session.", "schema": text]]])
                )
            ])
        let webhook = operation(
            "receiveWebhook",
            "Takes HubSpot's events. Authenticated by HubSpot's signature of the raw body. 200 means that the events are durable.",
            isOpen: true, parameters: signatureHeaders,
            body: content("application/json", ["type": "array", "maxItems": 100, "items": ["type": "object"]]),
            answers: [("200", answer("The events are stored.", ref("Received")))])
        let ready: [(String, JSONTree)] = [("200", other("Yes.", "text/plain")), ("503", other("No.", "text/plain"))]
        return [
            ("/api/webhooks/hubspot", ["post": webhook]),
            ("/api/admin/login", ["post": login]),
            ("/api/admin/logout", ["post": operation("logOut", "Ends the session.", isOpen: true, answers: [("200", answer("Logged out.", ref("Done")))])]),
            ("/health/live", ["get": operation("isLive", "Whether the process works.", isOpen: true, answers: ready)]),
            ("/health/ready", ["get": operation("isReady", "Whether MongoDB answers and its indexes are there.", isOpen: true, answers: ready)]),
            ("/metrics", ["get": operation("getMetrics", "Counts and times for Prometheus.", isOpen: true, answers: [("200", other("Metrics.", "text/plain"))])]),
            (
                "/openapi.json",
                ["get": operation("getDescription", "This description.", isOpen: true, answers: [("200", answer("OpenAPI 3.1.", ["type": "object"]))])]
            ),
        ]
    }

    private static var signatureHeaders: [JSONTree] {
        [
            ("X-HubSpot-Signature-v3", "HMAC-SHA256 of method, URL, body and timestamp, in base64."),
            ("X-HubSpot-Request-Timestamp", "Milliseconds since 1970, at most five minutes off; part of the v3 signature."),
            ("X-HubSpot-Signature", "SHA-256 of secret and body (v1), or of secret, method, URL and body (v2), in hexadecimal."),
            ("X-HubSpot-Signature-Version", "v1 or v2."),
        ].map { name, description in
            ["name": .text(name), "in": "header", "description": .text(description), "schema": text]
        }
    }

    private static var pages: [(String, JSONTree)] {
        let form = content(
            "application/x-www-form-urlencoded", ["type": "object", "required": ["password"], "properties": ["password": text]])
        let page = ("200", other("The page.", "text/html"))
        let elsewhere: (String, JSONTree) = ("303", ["description": "The page is at Location."])
        let refused = [("401", other("The password is wrong.", "text/html")), ("429", other("Too many failures.", "text/html"))]
        return [
            ("/", ["get": operation("showStart", "Leads to the admin page.", isOpen: true, answers: [elsewhere])]),
            ("/admin", ["get": operation("showOverview", "The admin page; without a session it leads to the login.", isOpen: true, answers: [page, elsewhere])]),
            (
                "/admin/login",
                [
                    "get": operation("showLogin", "The login form.", isOpen: true, answers: [page]),
                    "post": operation("logInByForm", "Opens a session.", isOpen: true, body: form, answers: [elsewhere] + refused),
                ]
            ),
            ("/admin/logout", ["post": operation("logOutByForm", "Ends the session.", isOpen: true, answers: [elsewhere])]),
        ]
    }

    // MARK: Schemas

    private static let text: JSONTree = ["type": "string"]
    private static let flag: JSONTree = ["type": "boolean"]
    private static let count: JSONTree = ["type": "integer", "minimum": 0]
    private static let countOrNull: JSONTree = ["type": ["integer", "null"], "minimum": 0]
    private static let instant: JSONTree = ["type": "string", "format": "date-time"]
    private static let instantOrNull: JSONTree = ["type": ["string", "null"], "format": "date-time"]
    private static let typeName: JSONTree = ["type": "string", "enum": names(RecordType.allCases.map(\.rawValue))]
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
                        ("id", text), ("scope", ["type": "string", "enum": ["all", "contacts", "companies", "deals", "incremental"]]), ("limit", countOrNull),
                        ("state", ["type": "string", "enum": names(Run.State.allCases.map(\.rawValue))]), ("startedAt", instant),
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
                    ("\(name)Answer", closed([(type.singular, ref(name))] + source, optional: [fallback])),
                ]
            }
    }

    private static let counts: [(String, JSONTree)] = ["synced", "updated", "errors", "unchanged", "archived"].map { ($0, count) }

    private static let progress: [(String, JSONTree)] = [
        ("processed", count), ("total", countOrNull), ("ratePerSecond", ["type": "number", "minimum": 0]), ("etaMs", countOrNull),
    ]

    private static let source: [(String, JSONTree)] = [("source", ["type": "string", "enum": ["mongodb", "hubspot"]]), ("synced", flag)]
    private static let fallback: (String, JSONTree) = ("fallback", described(["const": true], "MongoDB failed, so HubSpot answered."))

    private static let rateLimit: [(String, JSONTree)] =
        ["limit", "intervalMs", "remaining", "inFlight", "pausedMs", "searchLimit", "searchRemaining"].map { ($0, count) }
        + [
            ("waiting", closed(CallClass.allCases.map { ($0.description, count) })),
            ("pauseReason", ["type": ["string", "null"]]), ("dailyLimit", countOrNull), ("dailyRemaining", countOrNull),
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
            (
                "hubspot",
                closed([
                    ("reachable", flag),
                    ("rateLimit", closed(rateLimit)),
                ])
            ),
            ("mongodb", closed([("reachable", flag)])),
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

    private static func ref(_ name: String) -> JSONTree { ["$ref": .text("#/components/schemas/\(name)")] }
    private static func anyOf(_ all: String...) -> JSONTree { ["anyOf": .array(all.map(ref))] }
    private static func list(_ items: JSONTree) -> JSONTree { ["type": "array", "items": items] }
    private static func names(_ names: [String]) -> JSONTree { .array(names.map(JSONTree.text)) }
    private static func described(_ schema: JSONTree, _ text: String) -> JSONTree { schema.with(["description": .text(text)]) }

    /// An object with these members; of the first all are always there.
    private static func closed(_ required: [(String, JSONTree)], optional: [(String, JSONTree)] = []) -> JSONTree {
        ["type": "object", "required": names(required.map(\.0)), "properties": .object(required + optional)]
    }

    private static func byType(_ schema: String) -> JSONTree {
        ["type": "object", "properties": .object(RecordType.allCases.map { ($0.rawValue, ref(schema)) })]
    }

    private static func query(_ name: String, _ description: String, _ schema: JSONTree) -> JSONTree {
        ["name": .text(name), "in": "query", "description": .text(description), "schema": schema]
    }

    private static func path(_ name: String, _ description: String, _ schema: JSONTree) -> JSONTree {
        ["name": .text(name), "in": "path", "required": true, "description": .text(description), "schema": schema]
    }

    private static func content(_ type: String, _ schema: JSONTree) -> JSONTree {
        ["required": true, "content": media(type, schema)]
    }

    private static func media(_ type: String, _ schema: JSONTree) -> JSONTree { .object([(type, .object([("schema", schema)]))]) }

    private static func answer(_ description: String, _ schema: JSONTree) -> JSONTree {
        ["description": .text(description), "content": media("application/json", schema)]
    }

    private static func other(_ description: String, _ type: String) -> JSONTree {
        ["description": .text(description), "content": media(type, text)]
    }

    /// - Parameter isOpen: no login is needed.
    private static func operation(
        _ id: String, _ summary: String, isOpen: Bool = false, parameters: [JSONTree] = [], body: JSONTree? = nil,
        answers: [(String, JSONTree)]
    ) -> JSONTree {
        var members: [(String, JSONTree)] = [("operationId", .text(id)), ("summary", .text(summary))]
        if isOpen { members.append(("security", [])) }
        if !parameters.isEmpty { members.append(("parameters", .array(parameters))) }
        if let body { members.append(("requestBody", body)) }
        members.append(("responses", .object(answers + [("default", ["$ref": "#/components/responses/error"])])))
        return .object(members)
    }
}

extension RecordType {
    fileprivate var title: String { rawValue.prefix(1).uppercased() + rawValue.dropFirst() }
    fileprivate var singularTitle: String { singular.prefix(1).uppercased() + singular.dropFirst() }
}
