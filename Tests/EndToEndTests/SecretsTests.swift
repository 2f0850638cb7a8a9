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
    /// No secret leaves the program, whatever happens to it.
    struct SecretsTests {
        static let sessionSecret = "session-secret-marker-b83e90", oldClientSecret = "old-client-secret-marker-27ac"
        static let password = "mongo/password:marker@6f1d"
        static let passwordInURI = "mongo%2Fpassword%3Amarker%406f1d"
        static let markers = Markers([
            "token": Service.token, "client secret": Service.clientSecret, "old client secret": oldClientSecret, "admin key": Service.adminKey,
            "session secret": sessionSecret, "MongoDB's password": password,
        ])

        /// What was said, by whom, until it is looked through.
        private final class Record: @unchecked Sendable {  // `lock` guards the rest
            private let lock = NSLock()
            private var bytes = 0, places = 0

            func add(_ place: String, _ said: [UInt8]) {
                let found = markers.found(in: said)
                #expect(found.isEmpty, "\(place) tells: \(found.joined(separator: "; "))")
                lock.withLock {
                    bytes += said.count
                    places += 1
                }
            }

            func add(_ place: String, _ said: String) { add(place, Array(said.utf8)) }

            var figures: String { lock.withLock { "\(bytes / 1000) KB in \(places) places" } }
        }

        @Test func whoLooksForASecretFindsItInEveryForm() {
            let secret = Service.token
            let forms = [
                secret, secret.uppercased(), String(secret.reversed()), secret.utf8.map { String(format: "%02x", $0) }.joined(),
                secret.utf8.map { String(format: "%%%02x", $0) }.joined(), Data(":\(secret)".utf8).base64EncodedString(),
                Data("x:\(secret)!".utf8).base64EncodedString(), Data(secret.utf8).base64EncodedString(),
            ]
            for form in forms { #expect(!Self.markers.found(in: "before \(form) after").isEmpty, "\(form)") }
            #expect(!Self.markers.found(in: "mongodb://marker:\(Self.passwordInURI)@127.0.0.1").isEmpty)
            #expect(Self.markers.found(in: "pat-token-marker-3c7e66a").isEmpty)
        }

        /// The whole program with a marker as each secret: what it logs at the finest level, answers, prints, shows of itself to other users
        /// and stores.
        @Test func noSecretLeavesTheProgram() async throws {
            let mongod = try await MongoServer.start()
            let root = try MongoDatabase(MongoSettings(uri: mongod.uri("secrets"), threads: 1))
            _ = try await root.run { client in
                try client.command(
                    ["createUser": "marker", "pwd": .string(Self.password), "roles": [["role": "root", "db": "admin"]]], on: "admin")
            }
            let uri = "mongodb://marker:\(Self.passwordInURI)@127.0.0.1:\(mongod.port)/secrets?replicaSet=rs0&authSource=admin"
            let record = Record()
            try await withSimulator { simulator in
                let environment = Service.environment(
                    mongodb: uri, hubspot: simulator.baseURL,
                    [
                        "SESSION_SECRET": Self.sessionSecret, "HUBSPOT_CLIENT_SECRET": "\(Service.clientSecret),\(Self.oldClientSecret)",
                        "LOG_LEVEL": "trace",
                    ])
                let service = try await Service.start(environment)
                do {
                    try await self.use(service, simulator, mongod, root, environment, record)
                } catch {
                    Issue.record("\(error)")
                }
                // In any case: the simulator waits for its connections.
                let status = await service.process.terminate().status
                #expect(status == 0)
                let log = service.process.standardOutput + service.process.standardError
                record.add("the log", log)
                for word in [" trace ", " debug ", "Login failed", "A webhook is refused", "/api"] { #expect(log.contains(word), "the log has no '\(word)'") }
                await service.driver.shutDown()
            }
            await root.shutDown()
            await mongod.stop()
            EndToEnd.report("no secret in \(record.figures)")
        }

        /// In the last words of a process that crashes; its memory is not dumped. Without the report of a debug build, which takes minutes.
        @Test(arguments: [SIGSEGV, SIGILL, SIGABRT, SIGBUS, SIGFPE]) func aCrashTellsNoSecret(signal: Int32) async throws {
            let environment = Service.environment(
                mongodb: "mongodb://marker:\(Self.passwordInURI)@127.0.0.1:1/x", hubspot: "http://127.0.0.1:1",
                ["SESSION_SECRET": Self.sessionSecret, "LOG_LEVEL": "trace", "SWIFT_BACKTRACE": "enable=no"])
            let process = try ServiceProcess(["serve"], environment: environment)
            _ = try await process.line(with: "Listening")
            let limits = try String(contentsOfFile: "/proc/\(process.identifier)/limits", encoding: .utf8)
            let dumps = limits.split(separator: "\n").first { $0.hasPrefix("Max core file size") }?.split(separator: " ")
            #expect(dumps?.dropFirst(4).prefix(2) == ["0", "0"], "\(limits)")
            #expect(await process.crash(signal) == 128 + signal)
            let found = Self.markers.found(in: process.standardOutput + process.standardError)
            #expect(found.isEmpty, "\(found)\n\(process.standardError)")
        }

        /// Everything that one can do with the service and its commands, and that can happen to it.
        private func use(
            _ service: Service, _ simulator: Simulator, _ mongod: MongoServer, _ root: MongoDatabase, _ environment: [String: String], _ record: Record
        ) async throws {
            let uri = environment["MONGODB_URI"] ?? ""
            func answer(_ method: String, _ path: String, _ headers: [(String, String)] = [], body: String? = nil) async throws -> CurlResponse {
                let response = try await service.driver.send(
                    CurlRequest(method: method, url: service.url + path, headers: headers.map { ($0.0, $0.1) }, body: body.map { Array($0.utf8) }, timeout: .seconds(60)))
                record.add("\(method) \(path)", response.body)
                for (name, value) in response.headers.fields { record.add("the header \(name) of \(method) \(path)", value) }
                return response
            }
            func command(_ arguments: [String], _ changes: [String: String] = [:]) async throws {
                let result = try await ServiceProcess.run(
                    arguments, environment: environment.merging(service.commandEnvironment) { $1 }.merging(changes) { $1 })
                record.add(arguments.joined(separator: " "), result.output + result.errors)
            }
            let bearer = ("Authorization", "Bearer \(Service.adminKey)")
            let pages = ["/", "/admin", "/admin/login", "/admin/records", "/admin/deliveries", "/metrics", "/openapi.json", "/health/live", "/health/ready", "/nothing"]
            let reads = ["status", "contacts?limit=3", "companies?useSync=false&limit=3", "sync/status", "sync/runs", "webhooks", "failures", "properties/contacts", "owners", "deals?limit=0"]
            func everything() async throws {
                for path in pages { _ = try await answer("GET", path, [bearer]) }
                for path in reads { _ = try await answer("GET", "/api/admin/hubspot/" + path, [bearer]) }
            }

            // Syncs, with faults and without.
            simulator.faults = .mixed(0.3)
            #expect(try await answer("POST", "/api/admin/hubspot/sync/all", [bearer]).status < 600)
            simulator.faults = Faults()
            #expect(try await answer("POST", "/api/admin/hubspot/sync/all", [bearer]).status == 200)
            // Webhooks, good and bad.
            let path = "/api/webhooks/hubspot"
            let body = #"[{"subscriptionType":"contact.propertyChange","objectId":1,"eventId":1,"propertyName":"email","propertyValue":"x"}]"#
            for secret in [Service.clientSecret, Self.oldClientSecret, "another secret"] {
                let signer = try Signer(secret: secret)
                for url in [service.url + path, "https://elsewhere.example/hook"] {
                    let headers = signer.headers(
                        method: "POST", uri: url, body: Array(body.utf8), timestampMs: Int64(Date().timeIntervalSince1970 * 1000))
                    _ = try await answer("POST", path, headers.map { ($0.name, $0.value) }, body: body)
                    _ = try await answer("POST", path, headers.map { ($0.name, $0.value) }, body: "{")
                }
            }
            _ = try await answer("POST", path, [("X-HubSpot-Signature", Service.clientSecret)], body: body)
            _ = try await answer("POST", path, body: body)
            // Logins, good and bad; the password typed in the wrong place.
            for password in ["wrong", Service.adminKey] {
                let login = try await answer("POST", "/api/admin/login", body: #"{"password":"\#(password)"}"#)
                if let cookie = login.headers["Set-Cookie"] { _ = try await answer("GET", "/admin", [("Cookie", cookie)]) }
                _ = try await answer("POST", "/admin/login", [("Content-Type", "application/x-www-form-urlencoded")], body: "password=\(password)")
            }
            _ = try await answer("GET", "/api/admin/hubspot/status", [("Authorization", "Basic \(Data("x:\(Service.adminKey)".utf8).base64EncodedString())")])
            _ = try await answer("GET", "/api/admin/hubspot/status?key=\(Service.adminKey)")
            _ = try await answer("POST", "/api/admin/login", body: Service.adminKey)
            try await everything()
            // Commands.
            for arguments in [
                ["doctor"], ["doctor", "--json"], ["doctor", "--rejected"], ["doctor", "--webhooks-hsmeta"], ["status"], ["status", "--json"],
                ["verify"], ["sync", "deals"], ["generate", "models"], ["generate", "models", "--source", "hubspot"],
            ] { try await command(arguments) }
            try await command(["status"], ["ADMIN_API_KEY": "another-key-altogether"])
            try await command(["doctor"], ["HUBSPOT_ACCESS_TOKEN": Service.token + "-revoked"])
            try await command(["doctor"], ["MONGODB_URI": uri.replacing("marker:", with: "nobody:")])
            // HubSpot, then MongoDB, away.
            simulator.faults.down = true
            try await everything()
            try await command(["doctor"])
            simulator.faults.down = false
            await mongod.stop()
            try await everything()
            let headers = try Signer(secret: Service.clientSecret).headers(
                method: "POST", uri: service.url + path, body: Array(body.utf8), timestampMs: Int64(Date().timeIntervalSince1970 * 1000))
            #expect(try await answer("POST", path, headers.map { ($0.name, $0.value) }, body: body).status == 503)
            try await command(["doctor"])
            try await mongod.resume()
            _ = try await service.poll("/health/ready") { $0.status == 200 }

            // What other users of the machine see of it, what it has stored, and what it says at its end.
            record.add("the command line", try service.process.commandLine)
            let (dump, documents) = try await Self.dump(root)
            record.add("the database", dump)
            #expect(documents > 350)
        }

        /// Set-ups that cannot work, each with a marker where the mistake is.
        @Test(arguments: [
            ("MONGODB_URI", "mongodb://marker:\(passwordInURI)@127.0.0.1:1/x?serverSelectionTimeoutMS=x"), ("MONGODB_URI", "mongodb://marker:\(password)@127.0.0.1:1/x"),
            ("MONGODB_URI", "mongodb://marker:\(passwordInURI)@/x"),
            ("MONGODB_URI", "mongodb+srv://marker:\(passwordInURI)@a/x"), ("MONGODB_URI", "http://marker:\(passwordInURI)@127.0.0.1/x"),
            ("MONGODB_URI", "mongodb://marker:\(passwordInURI)@127.0.0.1:1"),
            ("HUBSPOT_ACCESS_TOKEN", "\(Service.token) x"), ("HUBSPOT_ACCESS_TOKEN_FILE", "/dev/null"), ("PORT", "99999"),
            ("ADMIN_API_KEY", "short"), ("HUBSPOT_RATE_LIMIT", "x"),
        ])
        func aBadSetUpIsRefusedWithoutItsSecrets(variable: String, value: String) async throws {
            var environment = Service.environment(mongodb: "mongodb://127.0.0.1:1/x", hubspot: "http://127.0.0.1:1", [variable: value])
            if variable == "HUBSPOT_ACCESS_TOKEN_FILE" { environment["HUBSPOT_ACCESS_TOKEN"] = nil }
            environment["LOG_LEVEL"] = "trace"
            for command in ["serve", "doctor"] {
                let result = try await ServiceProcess.run([command], environment: environment)
                #expect(result.status == 1, "\(command): \(result.output)\(result.errors)")
                let found = Self.markers.found(in: result.output + result.errors)
                #expect(found.isEmpty, "\(command) tells: \(found)\n\(result.output)\(result.errors)")
            }
        }

        /// Every document of every collection as it is stored, names included.
        private static func dump(_ database: MongoDatabase) async throws -> (bytes: [UInt8], documents: Int) {
            try await database.run { client in
                let answer = try client.command(["listCollections": 1])
                let collections = answer["cursor"]?.document?["firstBatch"]?.array?.compactMap { $0.document?["name"]?.string } ?? []
                var bytes = answer.bytes, documents = 0
                for collection in collections {
                    try client.find(MongoQuery(), in: collection) {
                        bytes += $0.bytes
                        documents += 1
                    }
                }
                return (bytes, documents)
            }
        }
    }
}
