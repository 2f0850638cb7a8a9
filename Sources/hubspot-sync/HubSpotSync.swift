import ArgumentParser
import Mongo

/// `hubspot-sync`: the service and the commands around it.
@main
struct HubSpotSync: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "hubspot-sync",
        abstract: "Keeps a live mirror of a HubSpot account's contacts, companies and deals in MongoDB.",
        discussion: """
            Configuration comes from environment variables; each can also stand in a file given by --config, and each secret in a file that \
            NAME_FILE names.
            """,
        version: Build.version,
        subcommands: [
            ServeCommand.self, SyncCommand.self, StatusCommand.self, VerifyCommand.self, DoctorCommand.self, GenerateCommand.self,
            SimulateCommand.self, WebhookCommand.self,
        ],
        defaultSubcommand: ServeCommand.self)

    static func main() async {
        CoreDumps.forbid()
        MongoLibrary.unlinkCounters()
        await main(nil)
    }
}

/// One readable sentence on standard error, exit code 1.
struct Failure: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}
