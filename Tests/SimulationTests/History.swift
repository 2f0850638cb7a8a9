import Bytes
import Logging
import Model
import Mongo
import struct Rules.RateLimit
import Sync
import TestSupport

@testable import Simulator
@testable import Store

/// One seed's story: an account that changes, instances that mirror it and die over it, faults; then peace, and the verdict.
final class History: @unchecked Sendable {  // belongs to one `JobThread`
    struct Figures: Sendable {
        var changes = 0, events = 0, lost = 0, calls = 0, deaths = 0, records = 0
        var simulated: Duration = .zero

        static func += (a: inout Self, b: Self) {
            a.changes += b.changes
            a.events += b.events
            a.lost += b.lost
            a.calls += b.calls
            a.deaths += b.deaths
            a.records += b.records
            a.simulated += b.simulated
        }
    }

    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    private let seed: UInt64
    private let scenario: Scenario
    private let around: Instance.Surroundings
    private let weather: Weather
    private let time: VirtualTime
    private let simulator: Simulator
    /// The simulation's own view of MongoDB.
    private let database: MongoDatabase
    private var living: [String: Instance] = [:]
    private var lives: [Task<Void, Never>] = []
    private var isOver = false, isNight = false
    /// Whether an instance may have been taken for dead, or may have been alone with its share of the limits, while it was not.
    private var hasStalled = false
    private var figures = Figures()

    /// When everything should be quiet at the latest after faults have stopped: calls time out after 60 s and are repeated for 120,
    /// leases run out, and records that failed are healed within minutes.
    private static let patience: Duration = .seconds(1_200)

    init(seed: UInt64, time: VirtualTime, database: MongoDatabase, logger: Logger) {
        self.seed = seed
        self.time = time
        scenario = Scenario(seed: seed)
        weather = Weather(seed: seed ^ 0x0D1C_E000)
        self.database = database
        simulator = Simulator(settings: scenario.account, now: { time.wallTime.milliseconds }, logger: logger)
        around = Instance.Surroundings(
            scenario: scenario, database: database, simulator: simulator, weather: weather, time: time, logger: logger)
    }

    func play() async throws -> Figures {
        let postman = Postman(scenario, weather, time, around.logger) { [unowned self] in living.sorted { $0.key < $1.key }.map(\.value) }
        simulator.world.setSink { postman.take($0) }
        let result: Result<Void, any Error>
        do {
            for number in 1...scenario.instances { lives.append(Task { await self.live("instance-\(number)") }) }
            var first = try await ask(.all())
            if scenario.isFullAtFirst { first = try await complete(.all(), from: first) }
            for _ in 0..<scenario.steps {
                await time.pass(weather.milliseconds(0...1_500))
                storm()
                if try await isUnfinished(first) { first = try await ask(.all()) ?? first }
                // Somebody's syncs in between: their pages may be older than what deliveries bring.
                if weather.hits(0.2) { _ = try await ask([.all(), .incremental, .reconcile, .one(.contacts)][Int.random(in: 0...3, using: &weather.dice)]) }
                change()
            }
            calm()
            try await settle(postman, first)
            if scenario.hasNight { try await sleepOverNight() }
            try await cure()
            try await compare()
            result = .success(())
        } catch {
            result = .failure(error)
        }
        isOver = true
        simulator.world.setSink(nil)
        for instance in living.values { instance.life.die() }
        for life in lives { await life.value }
        figures.events = postman.accepted
        figures.lost = postman.lost
        figures.calls = simulator.callCount
        figures.simulated = time.uptime
        try result.get()
        return figures
    }

    // MARK: Instances

    /// Lives, dies and comes back, until the story is over.
    private func live(_ place: String) async {
        var number = 0
        while !isOver {
            number += 1
            let name = scenario.hasNewNames ? "\(place)-\(number)" : place
            let steps = weather.hits(isCalm ? 0 : scenario.deaths) ? Int.random(in: 1...150, using: &weather.dice) : nil
            let instance = Instance(named: name, in: around, steps: steps)
            living[place] = instance
            await instance.run()
            living[place] = nil
            guard !isOver else { break }
            figures.deaths += 1
            repeat { await time.pass(weather.milliseconds(100...8_000)) } while isNight
        }
    }

    /// Everything is off for longer than any search looks back.
    private func sleepOverNight() async throws {
        isNight = true
        for instance in living.values { instance.life.die() }
        await time.pass(.seconds(900))
        isNight = false
        try await wait("all instances are back") { living.count == scenario.instances }
    }

    // MARK: Trouble

    private var isCalm = false

    private func storm() {
        guard scenario.isRough else { return }
        func share(_ most: Double) -> Double { weather.hits(0.5) ? 0 : Double.random(in: 0..<most, using: &weather.dice) }
        weather.lostCommands = share(0.05)
        weather.lostAnswers = share(0.05)
        weather.slowCalls = share(0.05)
        weather.deadCalls = share(0.02)
        weather.damagedRecords = share(0.1)
        weather.lostReceipts = share(0.2)
        if weather.hits(0.04) {
            weather.mongoBackAt = time.uptime + weather.milliseconds(100...20_000)
            hasStalled = true
        }
        if weather.hits(0.04) { weather.hubspotBackAt = time.uptime + weather.milliseconds(100...20_000) }
        var faults = Faults.mixed(share(0.2))
        faults.locked = share(0.03)
        faults.moving = share(0.01)
        faults.unavailable = share(0.03)
        faults.resetAfterEffect = share(0.03)
        faults.notJSON = share(0.03)
        simulator.faults = faults
        for (_, instance) in living.sorted(by: { $0.key < $1.key }) {
            if weather.hits(0.02) {
                instance.life.stalledUntil = time.uptime + weather.milliseconds(1_000...40_000)
                hasStalled = true
            }
            if weather.hits(0.03), scenario.deaths > 0 { instance.life.die() }
        }
    }

    private func calm() {
        isCalm = true
        weather.clear()
        simulator.faults = Faults()
    }

    private func change() {
        let mix: [Mutation: Double] = [
            .update: 10, .create: 3, .delete: 3, .restore: 3, .merge: 1.5, .associate: 3, .dissociate: 2, .gdpr: 0.7,
        ]
        let count = Int.random(in: 0...4, using: &weather.dice)
        figures.changes += simulator.world.mutate(changes: count, mix: mix, seed: weather.dice.next()).values.reduce(0, +)
    }

    // MARK: Syncs

    /// Asks an instance for a sync, as somebody at the admin page would.
    ///
    /// - Returns: the run's id; nil when nobody could be asked.
    private func ask(_ scope: SyncScope) async throws -> String? {
        let instances = living.sorted { $0.key < $1.key }.map(\.value)
        guard !instances.isEmpty else { return nil }
        // None takes anything when it is about to stop, which none is here.
        return try? await instances[Int.random(in: 0..<instances.count, using: &weather.dice)].runs.start(scope).id
    }

    private func run(_ id: String) async throws -> Run? { try await Store(database: database, logger: around.logger).runs.load(id) }

    /// Whether it came to nothing, so that somebody would ask again.
    private func isUnfinished(_ id: String?) async throws -> Bool {
        guard let id, let run = try await run(id) else { return true }
        return run.isFinished && run.state != .succeeded
    }

    /// - Returns: the run that succeeded.
    @discardableResult
    private func complete(_ scope: SyncScope, from first: String? = nil) async throws -> String? {
        var id = first
        var last: Run?
        try await wait("a run of \(scope.name) succeeds; the last one: \(last.map { "\($0.state) \($0.errorMessages.prefix(3))" } ?? "none")") {
            if let known = id, let run = try await run(known) {
                last = run
                // Records that failed are for somebody to see, and to ask again.
                if run.state == .succeeded, run.sum.errors == 0 { return true }
                if run.isFinished { id = nil }
            } else {
                id = nil
            }
            if id == nil { id = try await ask(scope) }
            return false
        }
        return id
    }

    /// What the scheduler would start by and by.
    private func cure() async throws {
        // Replicas and the search index know by then what happened last.
        await time.pass(max(scenario.account.searchLag, scenario.account.readLag) + .milliseconds(1))
        switch scenario.cure {
        case .deliveries: break
        case .changes:
            try await complete(.incremental)
            // A reconcile that the scheduler began meanwhile may have passed the places of records that came with this.
            try await wait("every run ends") { try await count(RunStore.collection, ["state": "running"]) == 0 }
            try await complete(.reconcile)
        case .full:
            try await complete(.all())
        }
        try await wait("no record is pending or failed") {
            for type in RecordType.allCases where try await count(type.rawValue, ["syncStatus": ["$ne": "synced"], "archived": false]) > 0 { return false }
            return true
        }
    }

    // MARK: Waiting

    private func settle(_ postman: Postman, _ first: String?) async throws {
        try await wait("every event is accepted") { postman.pending == 0 }
        try await wait("every delivery is worked on") { try await count(Inbox.collection, ["state": "pending"]) == 0 }
        try await complete(.all(), from: first)
        try await wait("every run ends") { try await count(RunStore.collection, ["state": "running"]) == 0 }
    }

    private func count(_ collection: String, _ filter: BSONDocument) async throws -> Int {
        try await database.run { try $0.count(MongoQuery(filter), in: collection) }
    }

    private func wait(_ what: @autoclosure () -> String, _ condition: () async throws -> Bool) async throws {
        let deadline = time.uptime + History.patience
        while try await !condition() {
            guard time.uptime < deadline else { throw Failure(description: "it does not come to it that \(what())") }
            await time.pass(.seconds(1))
        }
    }

    // MARK: The verdict

    private func compare() async throws {
        let simulator = simulator
        let comparison = try await MirrorComparison(
            absentIsNull: true, withAssociations: scenario.cure != .deliveries, database: database
        ) { path in simulator.answer(Call(method: "GET", target: path)).body }
        figures.records = comparison.records
        let most = simulator.maxCallsInAnyWindow(scenario.rateLimit.interval)
        if scenario.sharesLimits, !hasStalled, most > scenario.rateLimit.calls {
            throw Failure(description: "\(most) calls arrived within a window of \(scenario.rateLimit)")
        }
        let mostOwn = simulator.maxAssociationsInAnyWindow(scenario.rateLimit.interval)
        if scenario.sharesLimits, !hasStalled, scenario.rateLimit.calls >= 40, mostOwn > scenario.rateLimit.calls * 150 / 190 {
            throw Failure(description: "\(mostOwn) calls about associations arrived within a window of \(scenario.rateLimit)")
        }
        guard comparison.isEqual else {
            throw Failure(description: comparison.differences.prefix(8).joined(separator: "\n"))
        }
    }
}
