import ArgumentParser
import Bytes
import Logging
import Model

struct DoctorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor",
        abstract: "Checks configuration, HubSpot, MongoDB and the way of the webhooks, and says what to mend.",
        discussion: """
            Each finding is one line: ok, warn or error, what was looked at, and what to do. Exit code 1 if there is an error. It reads the same \
            variables as 'serve', makes some 25 calls to HubSpot, and writes one document to MongoDB, which it removes again.

            Examples:
              hubspot-sync doctor --config /etc/hubspot-sync/hubspot-sync.env
              hubspot-sync doctor --rejected
              hubspot-sync doctor --webhooks-hsmeta > src/app/webhooks/webhooks-hsmeta.json
            """)

    @Option(help: "A file of NAME=value lines; the environment goes before it.")
    var config: String?

    @Flag(help: "Explain the latest webhooks whose signature was refused: which version, URL or secret would have matched. Checks nothing else.")
    var rejected = false

    @Flag(
        help: """
            Print a webhooks-hsmeta.json for a HubSpot project app with the subscriptions that this account should have. Checks nothing else.
            """)
    var webhooksHsmeta = false

    @Flag(help: "Print the findings as JSON.")
    var json = false

    func validate() throws {
        guard !rejected || !webhooksHsmeta else { throw ValidationError("Use one of --rejected and --webhooks-hsmeta.") }
        guard !json || !webhooksHsmeta else { throw ValidationError("--webhooks-hsmeta prints JSON by itself.") }
    }

    func run() async throws {
        LoggingSystem.bootstrap { _ in SwiftLogNoOpLogHandler() }
        let source = try SettingsSource(file: config)
        if webhooksHsmeta { return try await WebhooksFile.print(try settings(source)) }
        var findings = Findings { [json] finding in if !json { FileHandleOutput.standardOutput.write(finding.line + "\n") } }
        do {
            let settings = try Settings(source)
            if rejected {
                await explainRejected(settings, &findings, all: true)
            } else {
                await check(settings, &findings)
            }
        } catch let error as SettingsError {
            findings.error("configuration", "\(error)")
        }
        try conclude(findings)
    }

    private func settings(_ source: SettingsSource) throws -> Settings {
        do {
            return try Settings(source)
        } catch let error as SettingsError {
            throw Failure("\(error)")
        }
    }

    private func check(_ settings: Settings, _ findings: inout Findings) async {
        findings.ok("configuration", "complete")
        if settings.adminKey != nil {
            findings.ok("admin key", "set")
        } else {
            findings.error("admin key", "ADMIN_API_KEY is not set, so nobody can log in: set a long random text")
        }
        if settings.clientSecrets.isEmpty {
            findings.error(
                "webhook secret", "HUBSPOT_CLIENT_SECRET is not set, so every webhook is refused: copy it from the app's Auth tab in HubSpot")
        } else {
            findings.ok("webhook secret", "\(settings.clientSecrets.count) set")
        }
        await checkHubSpot(settings, &findings)
        await checkWebhookURL(settings, &findings)
        await checkMongoDB(settings, &findings)
    }

    private func conclude(_ findings: Findings) throws {
        if json {
            var writer = JSONWriter(capacity: 4096)
            writer.object { json in
                json.member("success", findings.errors == 0)
                json.member("errors", findings.errors)
                json.member("warnings", findings.warnings)
                json.array("findings") { json in for finding in findings.all { finding.write(to: &json) } }
            }
            print(String(decoding: writer.finish(), as: UTF8.self))
        }
        guard findings.errors == 0 else {
            FileHandleOutput.standardError.write("\(findings.errors) \(findings.errors == 1 ? "error" : "errors") found.\n")
            throw ExitCode.failure
        }
        if !json, !rejected { print(findings.warnings == 0 ? "All is well." : "Nothing is broken; see the warnings.") }
    }
}
