import ArgumentParser
import Bytes
import Curl
import Glibc
import HubSpot
import Logging
import Model
import Mongo
import Rules
import Store

struct DoctorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor",
        abstract: "Checks configuration, HubSpot and MongoDB, and says what to mend. Exit code 1 if something is wrong.")

    @Option(help: "A file of NAME=value lines; the environment goes before it.")
    var config: String?

    func run() async throws {
        LoggingSystem.bootstrap { _ in SwiftLogNoOpLogHandler() }
        var report = Report()
        let settings: Settings
        do {
            settings = try Settings(try await SettingsSource(file: config))
            report.good("configuration", "complete")
        } catch let error as SettingsError {
            report.bad("configuration", "\(error)")
            throw ExitCode.failure
        }
        report.check(
            "admin key", settings.adminKey != nil, good: "set", bad: "ADMIN_API_KEY is not set, so nobody can log in: set a long random text")
        report.check(
            "webhook secret", !settings.clientSecrets.isEmpty, good: "\(settings.clientSecrets.count) set",
            bad: "HUBSPOT_CLIENT_SECRET is not set, so every webhook is refused: copy it from the app's Auth tab in HubSpot")
        await checkHubSpot(settings, &report)
        await checkMongoDB(settings, &report)
        if report.problems > 0 {
            FileHandleOutput.standardError.write("\(report.problems) \(report.problems == 1 ? "problem" : "problems") found.\n")
            throw ExitCode.failure
        }
        print("All is well.")
    }

    private func checkHubSpot(_ settings: Settings, _ report: inout Report) async {
        var quick = settings.hubspot
        quick.attemptsMax = 2
        let driver = CurlDriver()
        let hubspot = HubSpotClient(settings: quick, driver: driver, logger: Logger(label: "doctor"))
        do {
            let account = try await hubspot.account(as: .live)
            report.good("hubspot token", "accepted, account \(account.portalId)")
        } catch {
            switch error.kind {
            case .missingScopes: report.good("hubspot token", "accepted (account details need another scope; not needed)")
            case .unauthorized:
                report.bad("hubspot token", "HubSpot refuses it: check HUBSPOT_ACCESS_TOKEN against the app or service key")
            default: report.bad("hubspot", "no usable answer from \(quick.baseURL): \(error.message)")
            }
            if error.isTemporary || error.kind == .unauthorized {
                await driver.shutDown()
                return
            }
        }
        for type in RecordType.allCases {
            do {
                let definitions = try await hubspot.propertyDefinitions(of: type, as: .live)
                _ = try await hubspot.page(of: type, after: nil, limit: 1, properties: [], archived: false, as: .live)
                report.good("\(type.rawValue)", "readable, \(definitions.count) properties")
            } catch {
                if case .missingScopes(let scopes) = error.kind {
                    let names = scopes.isEmpty ? "crm.objects.\(type.rawValue).read, crm.schemas.\(type.rawValue).read" : scopes.joined(separator: ", ")
                    report.bad("\(type.rawValue)", "the token lacks a scope: add \(names) to the app or service key")
                } else {
                    report.bad("\(type.rawValue)", error.message)
                }
            }
        }
        await driver.shutDown()
    }

    private func checkMongoDB(_ settings: Settings, _ report: inout Report) async {
        let database: MongoDatabase
        do {
            database = try MongoDatabase(MongoSettings(uri: settings.mongodbURI, applicationName: "hubspot-sync doctor"))
        } catch {
            return report.bad("mongodb", "MONGODB_URI cannot be used: \(error.message)")
        }
        do {
            let version = try await database.run { try $0.command(["buildInfo": 1])["version"]?.string ?? "" }
            let major = Int(version.prefix { $0 != "." }) ?? 0
            report.check(
                "mongodb", major >= 5, good: "version \(version) at \(database.hosts)", bad: "version \(version) is too old: 5.0 or newer is needed")
            let set = try await database.run { try $0.command(["hello": 1])["setName"]?.string }
            report.check(
                "replica set", set != nil, good: set ?? "",
                bad: "MongoDB runs alone: start it as a replica set (one member is enough), so that a confirmed write is a durable one")
            let store = Store(database: database, logger: Logger(label: "doctor"))
            let missing = try await store.missingIndexes()
            report.check(
                "indexes", missing.isEmpty, good: "all there",
                bad: "missing: \(missing.joined(separator: ", ")); 'hubspot-sync serve' makes them at its start")
        } catch {
            let why = (error as? MongoError)?.message ?? "\(error)"
            report.bad("mongodb", "no usable answer from \(database.hosts): \(why)")
        }
        await database.shutDown()
    }

    /// Prints a line a check, as it is made.
    private struct Report {
        var problems = 0

        mutating func check(_ name: String, _ isGood: Bool, good: String, bad: String) {
            if isGood { self.good(name, good) } else { self.bad(name, bad) }
        }

        func good(_ name: String, _ text: String) { line("ok  ", name, text) }

        mutating func bad(_ name: String, _ text: String) {
            problems += 1
            line("BAD ", name, text)
        }

        private func line(_ mark: String, _ name: String, _ text: String) {
            FileHandleOutput.standardOutput.write(mark + name + String(repeating: " ", count: max(1, 16 - name.count)) + text + "\n")
        }
    }
}
