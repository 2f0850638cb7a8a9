import Bytes
import Foundation
import Logging
import Model
import Mongo
import Store
import TestSupport
import Testing

/// The sync core, its genuine MongoDB and the simulated HubSpot through thousands of small stories in which everything fails that can.
///
/// Pool, inbox, queue, syncs, limiter and store are the real ones, on the genuine `mongod`; only time, chance and the two ways out are the
/// simulation's. With `SWIFT_DETERMINISTIC_HASHING=1`, which `deploy/test` sets, one seed takes the same course each time, to the
/// millisecond; without it the order of sets and dictionaries, and so of calls, varies from process to process.
@Suite(.serialized, .timeLimit(.minutes(30))) struct SimulationTests {
    /// Seeds that failed once; they come first for ever.
    static let failedOnce: [UInt64] = [868]

    /// `SEED=n` replays one story, `SEEDS=n` plays so many.
    static let seeds: [UInt64] = {
        let environment = ProcessInfo.processInfo.environment
        if let seed = environment["SEED"].flatMap(UInt64.init) { return [seed] }
        let count = environment["SEEDS"].flatMap(UInt64.init) ?? (environment["QUICK"] == "1" ? 200 : 2_000)
        return failedOnce + Array(1...max(1, count))
    }()

    /// Stories that are told side by side. Each blocks its thread while MongoDB works.
    private static let lanes = 6
    private static let failuresMax = 10
    private static let jobsMax = 5_000_000

    @Test func whateverFailsTheMirrorBecomesEqual() async throws {
        let server = try await MongoServer.shared
        let mongo = try MongoDatabase(MongoSettings(uri: server.uri("simulation"), threads: Self.lanes))
        let start = ContinuousClock.now
        var sum = History.Figures()
        var failures = 0
        try await withThrowingTaskGroup(of: (UInt64, Result<History.Figures, any Error>).self) { group in
            var next = Self.seeds.makeIterator()
            var databases: [UInt64: MongoDatabase] = [:]
            func play(in database: MongoDatabase) {
                guard failures < Self.failuresMax, let seed = next.next() else { return }
                databases[seed] = database
                group.addTask { (seed, await Self.play(seed, database)) }
            }
            for lane in 0..<min(Self.lanes, Self.seeds.count) {
                let database = mongo.database(named: "simulation_\(lane)")
                try await Store(database: database, logger: Self.logger).prepare()
                play(in: database.through(DirectCalls()))
            }
            while let (seed, result) = try await group.next() {
                switch result {
                case .success(let figures): sum += figures
                case .failure(let error):
                    failures += 1
                    Issue.record("SEED=\(seed): \(error)")
                }
                if let database = databases.removeValue(forKey: seed) { play(in: database) }
            }
        }
        await mongo.shutDown()
        print(
            "figures: \(Self.seeds.count) stories in \(ContinuousClock.now - start), \(sum.simulated) of their own time: \(sum.changes) changes, \(sum.events) requests accepted, \(sum.lost) events lost, \(sum.calls) calls, \(sum.deaths) deaths, \(sum.records) records compared"
        )
    }

    private static let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    private static func play(_ seed: UInt64, _ database: MongoDatabase) async -> Result<History.Figures, any Error> {
        let time = VirtualTime(seed: seed)
        let result = await JobThread.run(jobsMax: jobsMax, idle: { time.advance() }) {
            await CoreClock.$simulation.withValue(time) {
                do {
                    try await empty(database)
                    let logger = ProcessInfo.processInfo.environment["SEED"] == nil ? logger : Logger(label: "seed") { _ in Diary(time) }
                    return Result<History.Figures, any Error>.success(
                        try await History(seed: seed, time: time, database: database, logger: logger).play())
                } catch {
                    return .failure(error)
                }
            }
        }
        return result ?? .failure(History.Failure(description: "it comes to no end: at \(time.uptime) something waits for ever, or never rests"))
    }

    private static func empty(_ database: MongoDatabase) async throws {
        try await database.run { client in
            let answer = try client.command(["listCollections": 1, "nameOnly": true])
            for collection in answer["cursor"]?.document?["firstBatch"]?.array ?? [] {
                guard let name = collection.document?["name"]?.string else { continue }
                // Nobody needs this to be durable, and a majority's journals take their time.
                _ = try client.command(["delete": .string(name), "deletes": [["q": [:], "limit": 0]], "writeConcern": ["w": 1]])
            }
        }
    }
}

/// Prints what the service logs, at the simulation's time, where one seed is replayed.
private struct Diary: LogHandler {
    private let time: VirtualTime
    var metadata: Logger.Metadata = [:]
    var logLevel: Logger.Level = .debug

    init(_ time: VirtualTime) { self.time = time }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        let facts = (event.metadata ?? [:]).sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }.joined(separator: " ")
        print("\(time.wallTime.iso8601) \(event.level) \(event.message) \(facts)")
    }
}
