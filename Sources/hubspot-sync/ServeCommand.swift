import ArgumentParser

struct ServeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve", abstract: "Runs the service: webhook receiver, syncs, read API and admin page.",
        discussion: """
            Needs HUBSPOT_ACCESS_TOKEN, and a MongoDB replica set at MONGODB_URI. SIGTERM or SIGINT ends it in at most 10 seconds, without losing \
            an event. 'hubspot-sync doctor' checks everything beforehand.

            Examples:
              hubspot-sync serve --config /etc/hubspot-sync/hubspot-sync.env
              HUBSPOT_ACCESS_TOKEN_FILE=/run/secrets/token ADMIN_API_KEY_FILE=/run/secrets/key hubspot-sync serve
            """)

    @Option(help: "A file of NAME=value lines; the environment goes before it.")
    var config: String?

    func run() async throws {
        let settings: Settings
        do {
            settings = try Settings(SettingsSource(file: config))
        } catch let error as SettingsError {
            throw Failure("Cannot start: \(error)")
        }
        LogOutput.install(settings.logLevel, settings.logFormat)
        try await serve(settings)
    }
}
