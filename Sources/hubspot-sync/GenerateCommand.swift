import ArgumentParser
import FoundationEssentials
import Logging

struct GenerateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "generate", abstract: "Writes code for apps that read the mirror.", subcommands: [Models.self])

    struct Models: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "models", abstract: "Writes types and Mongoose models with the properties that this HubSpot account has.",
            discussion: """
                The same definitions give the same text, so it can be kept with the app and made again. Values of lists (up to 100) become unions \
                of texts, pipelines and their stages unions of ids.

                Examples:
                  hubspot-sync generate models --output src/models
                  hubspot-sync generate models --source hubspot > hubspot-models.ts
                """)

        enum Language: String, ExpressibleByArgument, CaseIterable { case typescript }
        enum Source: String, ExpressibleByArgument, CaseIterable { case service, hubspot }

        @Option(help: "The language.")
        var language = Language.typescript

        @Option(help: "A folder for hubspot-types.ts and hubspot-models.ts, made if it is missing. Without it both go to standard output as one.")
        var output: String?

        @Option(help: "Where the definitions come from: a running service, or HubSpot itself by HUBSPOT_ACCESS_TOKEN.")
        var source = Source.service

        @OptionGroup var service: ServiceOptions

        func run() async throws {
            LoggingSystem.bootstrap { _ in SwiftLogNoOpLogHandler() }
            let models = TypeScriptModels(account: try await account())
            guard let output else {
                return FileHandleOutput.standardOutput.write(models.types + "\n" + models.models(typesModule: nil))
            }
            try write(models.types, to: "hubspot-types.ts", in: output)
            try write(models.models(typesModule: "./hubspot-types"), to: "hubspot-models.ts", in: output)
        }

        private func account() async throws -> AccountModel {
            switch source {
            case .service: return try await AccountModel(of: try service.client())
            case .hubspot:
                do {
                    return try await AccountModel(of: try .init(try SettingsSource(file: service.config)))
                } catch let error as SettingsError {
                    throw Failure("\(error)")
                }
            }
        }

        private func write(_ text: String, to name: String, in folder: String) throws {
            let path = folder + "/" + name
            do {
                try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
                try Data(text.utf8).write(to: URL(filePath: path), options: .atomic)
            } catch {
                throw Failure("\(path) cannot be written: check that the folder can be made and that you may write there.")
            }
            FileHandleOutput.standardError.write("Wrote \(path)\n")
        }
    }
}
