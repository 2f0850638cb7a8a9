import ArgumentParser

struct ServeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve", abstract: "Runs the service: webhook receiver, syncs, read API and admin page.")

    @Option(help: "A file of NAME=value lines; the environment goes before it.")
    var config: String?

    func run() async throws {
        let settings: Settings
        do {
            settings = try Settings(try await SettingsSource(file: config))
        } catch let error as SettingsError {
            throw Failure("Cannot start: \(error)")
        }
        LogOutput.install(settings.logLevel, settings.logFormat)
        try await serve(settings)
    }
}
