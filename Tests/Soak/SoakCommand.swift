import ArgumentParser
import Foundation
import TestSupport

@main struct SoakCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "deploy/soak",
        abstract: "Puts the service under load while everything around it fails, and shows whether anything was lost.",
        discussion: """
            Starts a MongoDB (a replica set of three when it is to fail over), a simulated HubSpot and instances of the service behind a \
            balancer. The simulated account changes and tells of it by webhooks; instances are killed with kill -9, primaries are killed, \
            stepped down, frozen and left without disk space, HubSpot answers 429, 500, 502, with cut bodies and resets. At the end every \
            record of the mirror is compared with the account, before any sync and after one. Prints a Markdown table; exit code 1 when \
            an accepted event was lost or a record differs.

            Examples:
              deploy/soak --kills 50
              deploy/soak --minutes 60 --rate 500 --kills 1000 --failovers 20 --faults 0.05
            """)

    @Option(help: "How long the load lasts; longer when kills and failovers do not fit.") var minutes = 5.0
    @Option(help: "Changes of the account a second, of all kinds.") var rate = 100
    @Option(help: "How often an instance is killed.") var kills = 0
    @Option(help: "How often MongoDB's primary is lost, in four ways by turns.") var failovers = 0
    @Option(help: "Share of HubSpot's answers that are faulty, 0 to 0.5.") var faults = 0.0
    @Option(help: "Instances of the service.") var instances = 2
    @Option(help: "Contacts at the start; companies and deals are a fifth each.") var contacts = 5000

    func validate() throws {
        guard minutes > 0, rate > 0, kills >= 0, failovers >= 0, contacts >= 10, (0...0.5).contains(faults), (1...20).contains(instances) else {
            throw ValidationError("Times, rates and numbers must be positive, --faults at most 0.5, --instances at most 20.")
        }
    }

    func run() async throws {
        var soak = Soak()
        soak.duration = .seconds(minutes * 60)
        soak.changesPerSecond = rate
        soak.kills = kills
        soak.failovers = failovers
        soak.faults = faults
        soak.instances = instances
        soak.contacts = contacts
        let start = ContinuousClock.now
        soak.report = { text in
            FileHandle.standardError.write(Data(String(format: "%6d s  %@\n", Int((ContinuousClock.now - start).components.seconds), text).utf8))
        }
        let result = try await soak.run()
        print(result.table)
        guard !result.isClean else { return }
        for difference in result.differences { FileHandle.standardError.write(Data("\(difference)\n".utf8)) }
        throw ExitCode.failure
    }
}
