import ArgumentParser
import Curl
import FoundationEssentials
import Model
import Signature

struct WebhookCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "webhook", abstract: "Tools for HubSpot's webhooks.", subcommands: [Send.self])

    struct Send: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "send", abstract: "Signs the events of a file with the client secret and posts them to a receiver.",
            discussion: """
                The body goes out as it stands in the file, signed v1 and v3 as HubSpot signs it. Exit code 1 unless the receiver answers 200.

                Examples:
                  hubspot-sync webhook send fixtures/webhooks/batch-of-100.json
                  hubspot-sync webhook send events.json --to http://127.0.0.1:3002/api/webhooks/hubspot --signed-url https://hooks.example.com/api/webhooks/hubspot
                """)

        @Argument(help: "A file with the body: a JSON array of events, as in fixtures/webhooks.")
        var file: String

        @Option(help: "Where to post. Default: http://127.0.0.1:PORT/api/webhooks/hubspot.")
        var to: String?

        @Option(help: "The URL to sign, if a proxy makes it another. Default: HUBSPOT_WEBHOOK_URL, else the one posted to.")
        var signedURL: String?

        @Option(help: "A file with variables, as for 'serve'.")
        var config: String?

        func run() async throws {
            let source = try SettingsSource(file: config)
            guard let secret = try source.clientSecrets().first else {
                throw Failure("No client secret: set HUBSPOT_CLIENT_SECRET (or HUBSPOT_CLIENT_SECRET_FILE).")
            }
            guard let data = FileManager.default.contents(atPath: file) else {
                throw Failure("The file \(file) cannot be read: check that it exists and that you may read it.")
            }
            let port = try source.text("PORT") ?? "3002"
            let target = to ?? "http://127.0.0.1:\(port)/api/webhooks/hubspot"
            let configuredURL = try source.text("HUBSPOT_WEBHOOK_URL")
            let body = [UInt8](data)
            let headers = try Signer(secret: secret).headers(
                method: "POST", uri: signedURL ?? configuredURL ?? target, body: body, timestampMs: Timestamp.now.milliseconds)
            let driver = CurlDriver()
            let response: CurlResponse
            do {
                response = try await driver.send(
                    CurlRequest(
                        method: "POST", url: target, headers: headers.map { ($0.name, $0.value) } + [("Content-Type", "application/json")],
                        body: body))
            } catch {
                throw Failure("No receiver answers at \(target): start it with 'hubspot-sync serve', or name another with --to.")
            }
            await driver.shutDown()
            print(String(decoding: response.body, as: UTF8.self))
            guard response.status == 200 else { throw Failure("The receiver answered \(response.status).") }
        }
    }
}
