import Foundation
import Mongo
import Simulator
import TestSupport
import Testing

extension EndToEnd {
    /// Everything that people get wrong: each time a clear error, and a mirror as it was.
    @Suite(.scratchDatabase) struct BadInputTests {
        let database = ScratchDatabase.current

        private func uri() async throws -> String { try await MongoServer.shared.uri(database.name) }

        @Test func badRequestsAreRefusedAndChangeNothing() async throws {
            try await withSimulator { simulator in
                try await Service.run(Service.environment(mongodb: try await uri(), hubspot: simulator.baseURL)) { service in
                    #expect(try await service.sync("all").integer("synced") == 350)
                    let mirror = try await MirrorState(database)
                    #expect(mirror.count == 350)

                    for path in ["sync/everything", "sync/contact", "sync/CONTACTS", "sync/contacts%20"] {
                        for method in ["GET", "POST"] {
                            let reply = try await service.send(method, "/api/admin/hubspot/" + path)
                            #expect(reply.status == 404 && reply.isError, "\(method) \(path): \(reply.text)")
                            #expect(reply.code == "unknown_sync")
                        }
                    }
                    for limit in ["-1", "0", "99999999999999999999", "9223372036854775807", "ten", "1.5", "1e3", "0x10", "+5", "%205", "%D9%A3"] {
                        try await expectBad("limit", service, "sync/contacts?limit=\(limit)", methods: ["GET", "POST"])
                        for type in ["contacts", "companies", "deals"] {
                            try await expectBad("limit", service, "\(type)?limit=\(limit)")
                            try await expectBad("limit", service, "\(type)?useSync=false&limit=\(limit)")
                        }
                    }
                    try await expectBad("limit", service, "contacts?limit=1001")
                    try await expectBad("useSync", service, "contacts?useSync=perhaps")
                    try await expectBad("wait", service, "sync/contacts?wait=perhaps", methods: ["POST"])
                    try await expectBad("syncStatus", service, "contacts?syncStatus=lost")
                    try await expectBad("archived", service, "contacts?archived=perhaps")
                    try await expectBad("updatedAfter", service, "contacts?updatedAfter=yesterday")
                    for sort in ["shoeSize", "-", "properties.email", "$where", "dealName"] {
                        try await expectBad("sort", service, "contacts?sort=\(sort)")
                    }

                    let page = try await service.admin("contacts?limit=2&sort=email")
                    let after = try #require((page.object("paging")["next"] as? [String: Any])?["after"] as? String)
                    #expect(try await service.admin("contacts?limit=2&sort=email&after=\(after)").status == 200)
                    try await expectBad("after", service, "contacts?limit=2&sort=-email&after=\(after)")
                    try await expectBad("after", service, "contacts?limit=2&after=\(after)")
                    try await expectBad("after", service, "contacts?limit=2&sort=email&useSync=false&after=\(after)")
                    for cursor in ["garbage", "%00", "AAAA", String(after.dropLast(2)), String(after.reversed()), "0"] {
                        try await expectBad("after", service, "contacts?sort=email&after=\(cursor)")
                        try await expectBad("after", service, "contacts?sort=email&useSync=false&after=\(cursor)")
                    }

                    for id in ["0", "999999999999", "abc", "-1", "99999999999999999999999999", "%24ne"] {
                        for source in ["true", "false"] {
                            let reply = try await service.admin("contacts/\(id)?useSync=\(source)")
                            #expect(reply.status == 404 && reply.isError, "\(id): \(reply.text)")
                        }
                    }
                    #expect(try await service.admin("sync/runs/none").status == 404)
                    #expect(try await service.send("DELETE", "/api/admin/hubspot/sync/runs/none").status == 404)
                    let nothing = try await service.get("/nothing/here")
                    #expect(nothing.status == 404 && nothing.isError)

                    #expect(try await MirrorState(database) == mirror)
                }
            }
        }

        private func expectBad(_ name: String, _ service: Service, _ path: String, methods: [String] = ["GET"]) async throws {
            for method in methods {
                let reply = try await service.send(method, "/api/admin/hubspot/" + path)
                #expect(reply.status == 400 && reply.isError, "\(method) \(path): \(reply.status) \(reply.text.prefix(300))")
                #expect((reply.json["error"] as? String)?.contains(name) == true, "\(method) \(path): \(reply.text.prefix(300))")
            }
        }

        @Test func nothingIsReadOrChangedWithoutTheKey() async throws {
            try await withSimulator { simulator in
                try await Service.run(Service.environment(mongodb: try await uri(), hubspot: simulator.baseURL)) { service in
                    #expect(try await service.sync("deals").integer("synced") == 60)
                    let mirror = try await MirrorState(database)
                    let calls = simulator.callCount
                    let keys: [String?] = [
                        nil, "Bearer", "Bearer ", "Bearer wrong", "Bearer \(Service.adminKey)x", "Bearer \(Service.adminKey.dropLast())",
                        "Basic \(Service.adminKey)", Service.adminKey, "Bearer \(Service.token)",
                    ]
                    for key in keys {
                        for (method, path) in [
                            ("POST", "sync/all"), ("GET", "sync/all"), ("GET", "sync/status"), ("GET", "sync/runs"), ("GET", "contacts"),
                            ("GET", "deals/101"), ("GET", "contacts?useSync=false"), ("GET", "nothing"),
                        ] {
                            let reply = try await service.send(method, "/api/admin/hubspot/" + path, authorization: key)
                            #expect(reply.status == 401 && reply.isError, "\(method) \(path): \(reply.status) \(reply.text.prefix(300))")
                        }
                    }
                    #expect(simulator.callCount == calls)
                    #expect(try await MirrorState(database) == mirror)
                }
            }
        }

        @Test func aRefusedTokenAndAMissingScopeAreNamedAndLoseNothing() async throws {
            try await withSimulator { simulator in
                try await Service.run(Service.environment(mongodb: try await uri(), hubspot: simulator.baseURL)) { service in
                    #expect(try await service.sync("all").integer("synced") == 350)
                    let mirror = try await MirrorState(database)

                    simulator.token = "another"
                    for scope in ["all", "contacts", "companies", "deals"] {
                        try await expectFailure(service, "POST", "sync/\(scope)", 502, "hubspot_unauthorized")
                    }
                    let refused = try await expectFailure(service, "GET", "contacts?useSync=false", 502, "hubspot_unauthorized")
                    #expect((refused.json["error"] as? String)?.contains("HUBSPOT_ACCESS_TOKEN") == true)
                    #expect(try await service.admin("contacts").integer("total") == 250)
                    simulator.token = Service.token

                    simulator.missingScopes = ["crm.objects.contacts.read"]
                    let missing = try await expectFailure(service, "POST", "sync/contacts", 502, "hubspot_missing_scopes")
                    #expect((missing.json["error"] as? String)?.contains("crm.objects.contacts.read") == true, "\(missing.text)")
                    let live = try await expectFailure(service, "GET", "contacts?useSync=false", 502, "hubspot_missing_scopes")
                    #expect((live.json["error"] as? String)?.contains("crm.objects.contacts.read") == true, "\(live.text)")
                    #expect(try await MirrorState(database) == mirror)

                    // One type's scope is no reason to leave the others.
                    let all = try await expectFailure(service, "POST", "sync/all", 502, "hubspot_missing_scopes")
                    #expect(all.integer("unchanged") == 100)
                    simulator.missingScopes = []
                    #expect(try await service.sync("all").integer("unchanged") == 350)
                    #expect(try await MirrorState(database).count == 350)
                }
            }
        }

        @Test func anUnreachableHubSpotIsSaidAndLosesNothing() async throws {
            let mirror = try await withSimulator { simulator in
                try await Service.run(Service.environment(mongodb: try await uri(), hubspot: simulator.baseURL)) { service in
                    #expect(try await service.sync("all").integer("synced") == 350)
                    return try await MirrorState(database)
                }
            }
            // Nobody listens on port 1.
            try await Service.run(Service.environment(mongodb: try await uri(), hubspot: "http://127.0.0.1:1")) { service in
                async let sync = expectFailure(service, "POST", "sync/contacts", 502, "hubspot_unreachable")
                async let live = expectFailure(service, "GET", "contacts/101?useSync=false", 502, "hubspot_unreachable")
                let status = try await service.admin("sync/status")
                #expect(status.object("hubspot")["reachable"] as? Bool == false)
                #expect(status.object("mongodb")["reachable"] as? Bool == true)
                #expect(try await service.admin("contacts").integer("total") == 250)
                _ = try await (sync, live)
                #expect(try await MirrorState(database) == mirror)
            }
        }

        @discardableResult
        private func expectFailure(
            _ service: Service, _ method: String, _ path: String, _ status: Int, _ code: String
        ) async throws -> Service.Reply {
            let reply = try await service.send(method, "/api/admin/hubspot/" + path)
            #expect(reply.status == status && reply.isError, "\(method) \(path): \(reply.status) \(reply.text.prefix(500))")
            #expect(reply.code == code, "\(method) \(path): \(reply.text.prefix(500))")
            return reply
        }

        // MARK: Variables

        struct BadVariable: Sendable, CustomTestStringConvertible {
            let name: String
            let changes: [String: String?]

            init(_ name: String, _ value: String?, _ others: [String: String?] = [:]) {
                self.name = name
                changes = others.merging([name: value]) { $1 }
            }

            var testDescription: String { "\(name)=\((changes[name] ?? nil) ?? "")" }
        }

        @Test(arguments: [
            BadVariable("HUBSPOT_ACCESS_TOKEN", nil), BadVariable("HUBSPOT_ACCESS_TOKEN", "  "),
            BadVariable("HUBSPOT_ACCESS_TOKEN", "\(Service.token) copied twice"),
            BadVariable("HUBSPOT_ACCESS_TOKEN_FILE", "/nowhere/token", ["HUBSPOT_ACCESS_TOKEN": nil]),
            BadVariable("HUBSPOT_ACCESS_TOKEN_FILE", "/dev/null", ["HUBSPOT_ACCESS_TOKEN": nil]),
            BadVariable("ADMIN_API_KEY", nil, ["HOST": "0.0.0.0"]), BadVariable("ADMIN_API_KEY", "short"),
            BadVariable("ADMIN_API_KEY_FILE", "/nowhere/key", ["ADMIN_API_KEY": nil]),
            BadVariable("HOST", "[::1]"), BadVariable("HOST", "no-such-host.invalid"), BadVariable("HOST", "192.0.2.1"),
            BadVariable("PORT", "http"), BadVariable("PORT", "70000"), BadVariable("PORT", "-1"),
            BadVariable("MONGODB_URI", "postgres://127.0.0.1/x"), BadVariable("MONGODB_URI", "mongodb://127.0.0.1:27017"),
            BadVariable("MONGODB_URI", "mongodb://user:\(Service.clientSecret)@/x"),
            BadVariable("HUBSPOT_API_BASE_URL", "ftp://api.hubapi.com"), BadVariable("HUBSPOT_API_BASE_URL", "api.hubapi.com"),
            BadVariable("HUBSPOT_API_VERSION", "banana"), BadVariable("HUBSPOT_RATE_LIMIT", "fast"),
            BadVariable("HUBSPOT_RATE_LIMIT", "0/10s"), BadVariable("HUBSPOT_RATE_LIMIT", "fast\nADMIN_API_KEY=\(Service.adminKey)"), BadVariable("HUBSPOT_SEARCH_RATE_LIMIT", "5"),
            BadVariable("HUBSPOT_WEBHOOK_URL", "example.com/webhooks"), BadVariable("TRUST_PROXY", "maybe"),
            BadVariable("WEBHOOK_MAX_BODY", "big"), BadVariable("SYNC_CONCURRENCY", "0"), BadVariable("SYNC_CONCURRENCY", "many"),
            BadVariable("INCREMENTAL_SYNC_INTERVAL", "soon"), BadVariable("FULL_SYNC_INTERVAL", "-1h"), BadVariable("STALE_AFTER", "0"),
            BadVariable("EVENT_RETENTION", "never"), BadVariable("LOG_LEVEL", "loud"), BadVariable("LOG_FORMAT", "xml"),
        ])
        func aBadVariableStopsTheStartAndIsNamed(_ bad: BadVariable) async throws {
            let environment = Service.environment(mongodb: try await uri(), hubspot: "http://127.0.0.1:1", bad.changes)
            let (status, output, errors) = try await ServiceProcess.run(["serve"], environment: environment)
            #expect(status == 1)
            let sentences = errors.split(separator: "\n").filter { $0.hasPrefix("Error: ") }
            #expect(sentences.count == 1 && sentences[0].contains(bad.name), "\(errors)")
            for secret in [Service.token, Service.adminKey, Service.clientSecret] { #expect(!(output + errors).contains(secret), "\(errors)") }
        }

        @Test func aFileWithWindowsLineEndsIsReadLineByLine() async throws {
            let file = FileManager.default.temporaryDirectory.appending(path: "hubspot-sync-\(UUID().uuidString).env")
            defer { try? FileManager.default.removeItem(at: file) }
            let lines = [
                "# as Windows writes it", "HUBSPOT_ACCESS_TOKEN=\(Service.token)", "", "HUBSPOT_RATE_LIMIT=fast",
                "ADMIN_API_KEY = \(Service.adminKey)", "",
            ]
            try Data(lines.joined(separator: "\r\n").utf8).write(to: file)
            let (status, output, errors) = try await ServiceProcess.run(["serve", "--config", file.path])
            #expect(status == 1)
            #expect(errors.contains("HUBSPOT_RATE_LIMIT is 'fast',"), "\(errors)")
            for secret in [Service.token, Service.adminKey] { #expect(!(output + errors).contains(secret), "\(errors)") }
        }

        @Test func aTakenPortStopsTheStartAndIsNamed() async throws {
            try await withSimulator { simulator in
                try await Service.run(Service.environment(mongodb: try await uri(), hubspot: simulator.baseURL)) { service in
                    let port = try #require(URL(string: service.url)?.port)
                    let second = try await ServiceProcess.run(
                        ["serve"],
                        environment: Service.environment(mongodb: try await uri(), hubspot: simulator.baseURL, ["PORT": "\(port)"]))
                    #expect(second.status == 1)
                    #expect(second.errors.contains("port \(port)") && second.errors.contains("PORT"), "\(second.errors)")
                }
            }
        }
    }
}
