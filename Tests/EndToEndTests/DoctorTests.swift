import Bytes
import Curl
import Foundation
import Model
import Mongo
import Signature
import Simulator
import TestSupport
import Testing

extension EndToEnd {
    /// `doctor` against good and bad set-ups.
    @Suite(.scratchDatabase) struct DoctorTests {
        private static let path = "/api/webhooks/hubspot"

        private func uri() async throws -> String { try await MongoServer.shared.uri(ScratchDatabase.current.name) }

        private func doctor(
            _ mongodb: String, _ hubspot: String, _ changes: [String: String?] = [:], arguments: [String] = []
        ) async throws -> (status: Int32, output: String, errors: String) {
            let result = try await ServiceProcess.run(
                ["doctor"] + arguments, environment: Service.environment(mongodb: mongodb, hubspot: hubspot, changes))
            for secret in [Service.token, Service.adminKey, Service.clientSecret] {
                #expect(!(result.output + result.errors).contains(secret), "\(result.output)\(result.errors)")
            }
            return result
        }

        /// The text of the first finding of that name, with its level.
        private func finding(_ name: String, in output: String) throws -> String {
            let line = output.split(separator: "\n").first { line in
                ["ok     ", "warn   ", "error  "].contains { line.hasPrefix($0 + name + " ") }
            }
            return String(try #require(line, "nothing about \(name) in:\n\(output)"))
        }

        @Test func aGoodSetUpIsWell() async throws {
            try await withSimulator { simulator in
                try await Service.run(Service.environment(mongodb: try await uri(), hubspot: simulator.baseURL)) { service in
                    let url = service.url + DoctorTests.path
                    let good = try await doctor(try await uri(), simulator.baseURL, ["HUBSPOT_WEBHOOK_URL": url])
                    #expect(good.status == 0, "\(good.output)\(good.errors)")
                    for name in [
                        "configuration", "admin key", "webhook secret", "clock", "hubspot token", "account", "contacts", "companies", "deals",
                        "pipelines", "owners", "signed webhook", "mongodb", "replica set", "durable write", "indexes", "refused webhooks",
                    ] { #expect(try finding(name, in: good.output).hasPrefix("ok"), "\(good.output)") }
                    #expect(!good.output.contains("error "))
                    #expect(try finding("account", in: good.output).contains("62515, DEVELOPER_TEST, time zone Europe/Berlin"))
                    // Loopback has no TLS, which HubSpot insists on.
                    #expect(try finding("webhook url", in: good.output).hasPrefix("warn"))

                    let json = try await doctor(try await uri(), simulator.baseURL, ["HUBSPOT_WEBHOOK_URL": url], arguments: ["--json"])
                    let report = Service.Reply(status: 0, body: Array(json.output.utf8))
                    let findings = report.json["findings"] as? [[String: String]] ?? []
                    #expect(json.status == 0 && report.isSuccess == true && report.integer("errors") == 0)
                    #expect(findings.count == good.output.split(separator: "\n").count - 1)
                    #expect(findings.contains { $0["name"] == "durable write" && $0["level"] == "ok" && $0["text"]?.isEmpty == false })
                    // It leaves nothing behind.
                    let names = try await ScratchDatabase.current.run { try $0.command(["listCollections": 1, "nameOnly": true]) }
                    let collections = names["cursor"]?.document?["firstBatch"]?.array?.compactMap { $0.document?["name"]?.string } ?? []
                    #expect(collections.contains("inbox") && !collections.contains("doctor"), "\(collections)")
                    #expect(try await ScratchDatabase.current.run { try $0.count(in: "inbox") } == 0)
                }
            }
        }

        @Test func eachMissingThingIsNamedWithWhatToDo() async throws {
            try await withSimulator { simulator in
                // No service has started here, so there is nothing that could have indexes.
                let fresh = try await doctor(try await uri(), simulator.baseURL)
                #expect(fresh.status == 0, "\(fresh.output)")
                let unmade = try finding("indexes", in: fresh.output)
                #expect(unmade.hasPrefix("ok") && unmade.contains("hubspot-sync serve"))
                _ = try await ScratchDatabase.current.run { try $0.command(["create": "inbox"]) }
                let bare = try await doctor(try await uri(), simulator.baseURL)
                #expect(bare.status == 1)
                let indexes = try finding("indexes", in: bare.output)
                #expect(indexes.hasPrefix("error") && indexes.contains("inbox.") && !indexes.contains("runs.") && indexes.contains("hubspot-sync serve"))
                #expect(try finding("webhook url", in: fresh.output).contains("HUBSPOT_WEBHOOK_URL is not set"))

                simulator.missingScopes = ["crm.objects.deals.read", "crm.objects.owners.read"]
                let scope = try await doctor(try await uri(), simulator.baseURL)
                #expect(scope.status == 1)
                let deals = try finding("deals", in: scope.output), owners = try finding("owners", in: scope.output)
                #expect(deals.hasPrefix("error") && deals.contains("crm.objects.deals.read"))
                #expect(owners.hasPrefix("warn") && owners.contains("crm.objects.owners.read"))
                simulator.missingScopes = []

                simulator.token = "another"
                let token = try await doctor(try await uri(), simulator.baseURL)
                #expect(token.status == 1)
                #expect(try finding("hubspot token", in: token.output).contains("HUBSPOT_ACCESS_TOKEN"))
                simulator.token = Service.token

                let none = try await doctor(
                    "mongodb://root:\(Service.clientSecret)@127.0.0.1:1/none", "http://127.0.0.1:1",
                    ["ADMIN_API_KEY": nil, "HUBSPOT_CLIENT_SECRET": nil, "HUBSPOT_WEBHOOK_URL": "https://127.0.0.1:1/x"])
                #expect(none.status == 1)
                for (name, word) in [
                    ("admin key", "ADMIN_API_KEY"), ("webhook secret", "HUBSPOT_CLIENT_SECRET"), ("hubspot", "127.0.0.1:1"),
                    ("mongodb", "127.0.0.1:1"), ("webhook url", "nothing answers"),
                ] {
                    let line = try finding(name, in: none.output)
                    #expect(line.hasPrefix("error") && line.contains(word), "\(line)")
                }
                #expect(none.errors.contains("5 errors found."), "\(none.errors)")

                let missing = try await doctor(try await uri(), simulator.baseURL, ["HUBSPOT_ACCESS_TOKEN": nil], arguments: ["--json"])
                #expect(missing.status == 1 && missing.output.contains("HUBSPOT_ACCESS_TOKEN"))
            }
        }

        @Test(arguments: [(45, "warn"), (-45, "warn"), (400, "error"), (0, "ok")])
        func theClockIsComparedWithHubSpots(seconds: Int, level: String) async throws {
            try await withSimulator({ $0.clockSkew = .seconds(seconds) }) { simulator in
                let line = try finding("clock", in: try await doctor(try await uri(), simulator.baseURL).output)
                #expect(line.hasPrefix(level), "\(line)")
                if seconds != 0 { #expect(line.contains(seconds > 0 ? "behind HubSpot" : "ahead of HubSpot"), "\(line)") }
            }
        }

        /// What stands where the receiver should: a name of the answer, and what doctor says of it.
        @Test(arguments: [
            (301, "Location: https://elsewhere.example/x", "", "redirects to https://elsewhere.example/x"), (404, "", "", "404"),
            (200, "", "ok", "without a signature"), (401, "WWW-Authenticate: Basic", "", "login"), (502, "", "", "does not reach"),
            (401, "", #"{"success":false,"error":"x","code":"no_client_secret"}"#, "HUBSPOT_CLIENT_SECRET"),
        ]) func aWrongReceiverIsRecognised(status: Int, header: String, body: String, word: String) async throws {
            let server = try RawServer { _ in .http(status, header.isEmpty ? [] : [header], Array(body.utf8)) }
            defer { server.stop() }
            let result = try await doctor(
                try await uri(), "http://127.0.0.1:1", ["HUBSPOT_WEBHOOK_URL": server.url + DoctorTests.path])
            let line = try #require(result.output.split(separator: "\n").first { $0.hasPrefix("error  webhook url ") }, "\(result.output)")
            #expect(line.contains(word), "\(line)")
            // Once, and without a signature: whoever answers wrongly is not told one.
            #expect(server.requests.count == 1 && server.requests[0].header(SignatureHeader.signatureV3) == nil)
        }

        @Test func aServerWithoutTLSIsRecognised() async throws {
            let server = try RawServer(greeting: Array("HTTP/1.1 400 Bad Request\r\n\r\n".utf8)) { _ in .silence }
            defer { server.stop() }
            let url = server.url.replacingOccurrences(of: "http://", with: "https://") + DoctorTests.path
            let result = try await doctor(try await uri(), "http://127.0.0.1:1", ["HUBSPOT_WEBHOOK_URL": url])
            let line = try finding("webhook url", in: result.output)
            #expect(line.hasPrefix("error") && line.contains("TLS"), "\(line)")
        }

        @Test func aServiceWithAnotherURLRefusesASignedOneAndDoctorSaysWhy() async throws {
            try await withSimulator { simulator in
                let mongodb = try await uri()
                let changes = ["HUBSPOT_WEBHOOK_URL": "https://hooks.example.com/api/webhooks/hubspot"]
                try await Service.run(Service.environment(mongodb: mongodb, hubspot: simulator.baseURL, changes)) { service in
                    let url = service.url + DoctorTests.path
                    let result = try await doctor(mongodb, simulator.baseURL, ["HUBSPOT_WEBHOOK_URL": url])
                    #expect(result.status == 1)
                    #expect(try finding("signed webhook", in: result.output).hasPrefix("error"))
                    try await eventually { try await ScratchDatabase.current.run { try $0.count(in: "rejected") } == 1 }

                    let before = try await doctor(mongodb, simulator.baseURL, changes, arguments: ["--rejected"])
                    #expect(before.status == 0)
                    #expect(before.output.contains("v3 would match with \(url): set HUBSPOT_WEBHOOK_URL to it"), "\(before.output)")
                    let after = try await doctor(mongodb, simulator.baseURL, ["HUBSPOT_WEBHOOK_URL": url], arguments: ["--rejected"])
                    #expect(after.output.contains("as HUBSPOT_WEBHOOK_URL now has it"), "\(after.output)")
                }
            }
        }

        /// A proxy that rewrites what the signature covers, an old secret, a slow clock, a stranger.
        @Test func refusedDeliveriesAreExplained() async throws {
            try await withSimulator { simulator in
                let mongodb = try await uri()
                let secrets = ["HUBSPOT_CLIENT_SECRET": "another-secret,\(Service.clientSecret)"]
                try await Service.run(Service.environment(mongodb: mongodb, hubspot: simulator.baseURL, secrets)) { service in
                    let body = Array(#"[{"subscriptionType":"contact.propertyChange","propertyValue":"MARKER-VALUE"}]"#.utf8)
                    func post(
                        _ signed: String, secret: String = Service.clientSecret, ageMs: Int64 = 0, only version: String? = nil,
                        headers extra: [(String, String)] = []
                    ) async throws {
                        try await Task.sleep(for: .milliseconds(2))  // those of one millisecond have no order
                        let now = Int64(Date().timeIntervalSince1970 * 1000)
                        let signer = try Signer(secret: secret)
                        var headers = signer.headers(method: "POST", uri: signed, body: body, timestampMs: now - ageMs)
                        if version == "v2" {
                            headers = [
                                (SignatureHeader.signature, signer.v2(method: "POST", uri: signed, body: body)), (SignatureHeader.version, "v2"),
                            ]
                        }
                        let response = try await service.driver.send(
                            CurlRequest(
                                method: "POST", url: service.url + DoctorTests.path + "?a=%20b", headers: headers.map { ($0.name, $0.value) } + extra,
                                body: body))
                        #expect(response.status == 401)
                    }
                    let public1 = "https://hooks.example.com/api/webhooks/hubspot?a=%20b"
                    try await post(public1, headers: [("X-Forwarded-Host", "hooks.example.com")])
                    try await post("https://hooks.example.com/api/webhooks/hubspot/", only: "v2", headers: [("X-Forwarded-Host", "hooks.example.com")])
                    try await post(service.url + DoctorTests.path + "?a=%20b", ageMs: 600_000)
                    try await post(service.url + DoctorTests.path, secret: "a-strangers")
                    try await post("https://elsewhere.example/x")
                    try await eventually { try await ScratchDatabase.current.run { try $0.count(in: "rejected") } == 5 }
                    let result = try await doctor(mongodb, simulator.baseURL, secrets, arguments: ["--rejected"])
                    #expect(result.status == 0)
                    let lines = result.output.split(separator: "\n").reversed().map(String.init)
                    try #require(lines.count == 5, "\(result.output)")
                    #expect(lines[0].contains("v3 would match with \(public1) with secret 2 of HUBSPOT_CLIENT_SECRET: set HUBSPOT_WEBHOOK_URL"), "\(lines[0])")
                    #expect(lines[1].contains("v2 would match with https://hooks.example.com/api/webhooks/hubspot/ "), "\(lines[1])")
                    #expect(lines[2].contains("the signature is right") && lines[2].contains("10 min 0 s old"), "\(lines[2])")
                    #expect(lines[3].contains("no version, URL form or secret matches"), "\(lines[3])")
                    #expect(lines[4].contains("v1 matches") && lines[4].contains("set HUBSPOT_WEBHOOK_URL"), "\(lines[4])")
                    // What is kept of them: no body, no signature, no secret; gone after a day.
                    var kept: [UInt8] = []
                    kept = try await ScratchDatabase.current.run { client in
                        var bytes: [UInt8] = []
                        try client.find(in: "rejected") { bytes += $0.bytes }
                        return bytes
                    }
                    let text = String(decoding: kept, as: UTF8.self)
                    #expect(text.contains("hooks.example.com") && !text.contains("MARKER") && !text.contains(Service.clientSecret))
                    let indexes = try await ScratchDatabase.current.run { try $0.command(["listIndexes": "rejected"]) }
                    #expect("\(indexes["cursor"]?.document?["firstBatch"]?.array?.compactMap { $0.document?["expireAfterSeconds"]?.integer } ?? [])" == "[0]")
                }
            }
        }

        @Test func theSubscriptionsFileIsCompleteAndWithinTheLimit() async throws {
            try await withSimulator({ $0.customProperties = 400 }) { simulator in
                let changes = ["HUBSPOT_WEBHOOK_URL": "https://hooks.example.com/api/webhooks/hubspot"]
                let result = try await doctor("mongodb://127.0.0.1:1/none", simulator.baseURL, changes, arguments: ["--webhooks-hsmeta"])
                #expect(result.status == 0, "\(result.errors)")
                let file = Service.Reply(status: 0, body: Array(result.output.utf8))
                let config = file.object("config")
                #expect(file.json["type"] as? String == "webhooks")
                #expect((config["settings"] as? [String: Any])?["targetUrl"] as? String == changes["HUBSPOT_WEBHOOK_URL"])
                let subscriptions = config["subscriptions"] as? [String: [[String: Any]]] ?? [:]
                let objects = subscriptions["crmObjects"] ?? []
                #expect(objects.count + 1 == 1_000)
                #expect(subscriptions["hubEvents"]?.map { $0["subscriptionType"] as? String } == ["contact.privacyDeletion"])
                #expect(objects.allSatisfy { $0["active"] as? Bool == true })
                let names = objects.map { "\($0["objectType"] ?? "") \($0["subscriptionType"] ?? "") \($0["propertyName"] ?? "")" }
                #expect(Set(names).count == names.count)
                for type in RecordType.allCases {
                    for verb in ["creation", "deletion", "restore", "merge", "associationChange"] {
                        #expect(names.contains("\(type.singular) object.\(verb) "))
                    }
                }
                for name in ["contact object.propertyChange email", "company object.propertyChange domain", "deal object.propertyChange closedate"] {
                    #expect(names.contains(name), "\(name)")
                }
                #expect(!names.contains { $0.hasSuffix("modifieddate") || $0.hasSuffix("hs_object_id") })
                #expect(result.errors.contains("found no room"))

                let without = try await doctor("mongodb://127.0.0.1:1/none", simulator.baseURL, arguments: ["--webhooks-hsmeta"])
                #expect(without.status == 1 && without.output == "" && without.errors.contains("HUBSPOT_WEBHOOK_URL"))
            }
        }
    }
}
