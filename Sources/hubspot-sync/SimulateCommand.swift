import ArgumentParser
import Logging
import Rules
import ServiceLifecycle
import Simulator
import UnixSignals

struct SimulateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "simulate",
        abstract: "Runs a local HubSpot with seeded data: its CRM API, its limits and faults, and signed webhooks.",
        discussion: """
            For demos and tests; 'serve' never needs it. Point the service at it with HUBSPOT_API_BASE_URL. Its state is read and changed \
            under /_simulator.

            Examples:
              hubspot-sync simulate --contacts 100000 --latency-ms 150
              hubspot-sync simulate --changes-per-second 20 --webhook-url http://127.0.0.1:3002/api/webhooks/hubspot
              hubspot-sync simulate --faults 0.05 --rate-limit 100/10s
            """)

    @Option(help: "Where to listen.") var host = "127.0.0.1"
    @Option(help: "Port; 0 picks a free one.") var port = 3010
    @Option(help: "Contacts from the start.") var contacts = 1000
    @Option(help: "Companies from the start.") var companies = 200
    @Option(help: "Deals from the start.") var deals = 300
    @Option(help: "Set values of each record.") var properties = 60
    @Option(help: "HubSpot's own property definitions, per type, at most.") var standardProperties = 1000
    @Option(help: "Property definitions beyond HubSpot's own, per type.") var customProperties = 20
    @Option(help: "The same seed gives the same records.") var seed: UInt64 = 1
    @Option(help: "The access token that it accepts. Default: HUBSPOT_ACCESS_TOKEN, else a fixed one.") var token: String?
    @Option(help: "The secret that signs webhooks. Default: HUBSPOT_CLIENT_SECRET, else a fixed one.") var clientSecret: String?
    @Option(help: "The account's id.") var portalId: Int64 = 62515
    @Option(help: "Where to post webhooks; none are sent without it.") var webhookURL: String?
    @Option(help: "Random changes a second.") var changesPerSecond = 0.0
    @Option(help: "Calls per time, such as 190/10s.") var rateLimit = "190/10s"
    @Option(help: "Milliseconds that every answer takes.") var latencyMs = 0
    @Flag(help: "Compress answers (gzip), as HubSpot does.") var gzip = false
    @Option(help: "Share of calls that fail in one of HubSpot's ways, 0 to 1.") var faults = 0.0
    @Option(help: "Seconds that the search index is behind.") var searchLag = 0
    @Option(help: "A factor for the delays between webhook retries, which HubSpot spreads over 24 hours.") var retryTimeScale = 1.0
    @Flag(help: "Send the generic webhook payloads (object.propertyChange).") var generic = false
    @Flag(help: "A merge keeps the primary record's id instead of making a third one.") var mergeKeepsPrimary = false

    func validate() throws {
        guard Rules.RateLimit(rateLimit) != nil else { throw ValidationError("--rate-limit must look like 190/10s.") }
        guard (0...1).contains(faults) else { throw ValidationError("--faults must be from 0 to 1.") }
        guard contacts >= 0, companies >= 0, deals >= 0, properties >= 0, standardProperties >= 0, customProperties >= 0, latencyMs >= 0,
            changesPerSecond >= 0, (0...65_535).contains(port)
        else { throw ValidationError("Numbers must not be negative, and a port is at most 65535.") }
    }

    func run() async throws {
        let source = try SettingsSource(file: nil)
        var settings = SimulatorSettings()
        settings.host = host
        settings.port = port
        settings.contacts = contacts
        settings.companies = companies
        settings.deals = deals
        settings.propertiesPerRecord = properties
        settings.standardProperties = standardProperties
        settings.customProperties = customProperties
        settings.seed = seed
        settings.portalId = portalId
        if let token = try token ?? source.secret("HUBSPOT_ACCESS_TOKEN") { settings.token = token }
        if let secret = try clientSecret ?? source.clientSecrets().first { settings.clientSecret = secret }
        settings.webhookURL = webhookURL
        settings.webhooks.usesGenericPayloads = generic
        settings.webhooks.retryTimeScale = retryTimeScale
        settings.latency = .milliseconds(latencyMs)
        settings.compresses = gzip
        settings.faults = .mixed(faults)
        settings.searchLag = .seconds(searchLag)
        settings.mergeKeepsPrimary = mergeKeepsPrimary
        if let limit = Rules.RateLimit(rateLimit) { settings.rateLimit = .init(limit.calls, per: limit.interval) }
        let logger = Logger(label: "simulate")
        let simulator = Simulator(settings: settings, logger: logger)
        var services: [any Service] = [ListeningSimulator(simulator: simulator)]
        if changesPerSecond > 0 { services.append(RandomChanges(world: simulator.world, perSecond: changesPerSecond, seed: seed)) }
        try await ServiceGroup(services: services, gracefulShutdownSignals: [.sigterm, .sigint], logger: logger).run()
    }
}

/// A simulator that says in a sentence when it cannot listen.
struct ListeningSimulator: Service {
    let simulator: Simulator

    func run() async throws {
        do {
            try await simulator.start()
        } catch {
            let settings = simulator.settings
            throw Failure(
                "Port \(settings.port) on \(settings.host) cannot be listened on: stop what uses it, or choose another with --port or --host.")
        }
        try await simulator.run()
    }
}

/// Changes records of a simulated account at a steady rate.
struct RandomChanges: Service {
    let world: World
    let perSecond: Double
    let seed: UInt64

    func run() async throws {
        await cancelWhenGracefulShutdown {
            var step: UInt64 = 0
            while !Task.isCancelled {
                step += 1
                world.mutate(changes: 1, seed: seed &+ step)
                // Cancelled while asleep: the loop's condition ends it.
                try? await Task.sleep(for: .seconds(1 / perSecond))
            }
        }
    }
}
