import Curl
import HubSpot
import Logging
import Model
import Mongo
import Rules
import ServiceLifecycle
import Simulator
import Store
import Sync
import TestSupport
import Testing

/// Several instances on one genuine MongoDB and one account that counts their calls. The interval is short so that the test is.
@Suite(.scratchDatabase, .timeLimit(.minutes(3))) struct BudgetSharingTests {
    private static let limit = RateLimit(calls: 60, interval: .seconds(2))
    private static let searchLimit = RateLimit(calls: 5, interval: .seconds(1))

    /// What a process has of its own: a limiter with its share, connections, and callers.
    private final class Instance: Sendable {
        let hubspot: HubSpotClient
        private let driver = CurlDriver()
        private let group: ServiceGroup
        private let service: Task<Void, any Error>

        init(_ number: Int, _ simulator: Simulator, _ database: MongoDatabase, _ limit: Rules.RateLimit = BudgetSharingTests.limit) {
            let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
            hubspot = HubSpotClient(
                settings: HubSpotSettings(
                    baseURL: simulator.baseURL, accessToken: simulator.settings.token, rateLimit: limit,
                    searchRateLimit: BudgetSharingTests.searchLimit, attemptsMax: 1), driver: driver, sharingAs: "\(number)", logger: logger)
            let sharing = BudgetSharing(ledger: Store(database: database, logger: logger).budget, hubspot: hubspot, logger: logger)
            let group = ServiceGroup(services: [sharing], logger: logger)
            self.group = group
            service = Task { try await group.run() }
        }

        enum Work { case account, searches, associations }

        /// Callers that call one after the other, as fast as they may, until they are cancelled.
        func work(_ callers: Int = 8, as callClass: CallClass = .full, _ work: Work = .account) -> Task<Void, Never> {
            Task { [hubspot] in
                await withTaskGroup(of: Void.self) { group in
                    for _ in 0..<callers {
                        group.addTask {
                            while !Task.isCancelled {
                                // What fails is seen by the simulator's counts.
                                switch work {
                                case .account: _ = try? await hubspot.account(as: callClass)
                                case .searches: _ = try? await hubspot.search(.deals, SearchQuery(), as: callClass)
                                case .associations: _ = try? await hubspot.associations(from: .contacts, to: .deals, ids: ["1"], as: callClass)
                                }
                            }
                        }
                    }
                }
            }
        }

        /// As `kill -9`: nothing is given back, nothing is said.
        func die() async {
            service.cancel()
            _ = await service.result
            await driver.shutDown()
        }

        func stop() async {
            await group.triggerGracefulShutdown()
            _ = await service.result
            await driver.shutDown()
        }
    }

    private func withSimulator(_ limit: Rules.RateLimit = limit, _ body: (Simulator) async throws -> Void) async throws {
        var settings = SimulatorSettings()
        settings.contacts = 10
        settings.companies = 10
        settings.deals = 10
        settings.rateLimit = .init(limit.calls, per: limit.interval)
        settings.searchRateLimit = .init(Self.searchLimit.calls, per: Self.searchLimit.interval)
        let simulator = Simulator(settings: settings, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        try await simulator.start()
        let result: Result<Void, any Error>
        do { result = .success(try await body(simulator)) } catch { result = .failure(error) }
        await simulator.stop()
        try result.get()
    }

    /// The share of the limit that goes out, over two intervals' worth of calls.
    private func throughput(_ simulator: Simulator) async throws -> Double {
        var count: Int { simulator.calls["GET account-info/details"]?.values.reduce(0, +) ?? 0 }
        let before = count
        let start = ContinuousClock.now
        try await eventually { count - before >= Self.limit.calls * 2 }
        return 2 * (Self.limit.interval / (ContinuousClock.now - start))
    }

    private func expectNoRefusal(_ simulator: Simulator, _ limit: Rules.RateLimit = limit, answers: Set<Int> = [200]) {
        #expect(simulator.maxCallsInAnyWindow(limit.interval) <= limit.calls)
        #expect(simulator.maxSearchesInAnyWindow(Self.searchLimit.interval) <= Self.searchLimit.calls)
        #expect(simulator.calls.allSatisfy { $0.value.keys.allSatisfy(answers.contains) }, "\(simulator.calls)")
    }

    @Test func threeInstancesKeepTheLimitAndUseIt() async throws {
        try await withSimulator { simulator in
            let instances = (1...3).map { Instance($0, simulator, ScratchDatabase.current) }
            for instance in instances { try await eventually { await instance.hubspot.budget.instances == 3 } }

            // One busy: it gets what the idle ones do not need.
            var work = [instances[0].work()]
            try await eventually { await instances[0].hubspot.budget.allotted >= 51 }
            let one = try await throughput(simulator)
            #expect(one >= 0.75, "\(one)")
            // An idle one can begin at once all the same.
            let start = ContinuousClock.now
            _ = try await instances[1].hubspot.account(as: .webhook)
            #expect(ContinuousClock.now - start < .milliseconds(500))

            // All busy, and searching.
            work += instances.dropFirst().map { $0.work() } + instances.map { $0.work(2, as: .incremental, .searches) }
            for instance in instances { try await eventually { (17...21).contains(await instance.hubspot.budget.allotted) } }
            let three = try await throughput(simulator)
            #expect(three >= 0.75, "\(three)")
            for instance in instances {
                let start = ContinuousClock.now
                _ = try await instance.hubspot.account(as: .webhook)
                #expect(ContinuousClock.now - start < .milliseconds(700))
            }

            // One dies: its share comes to the others, not before its calls have left the window.
            let death = ContinuousClock.now
            await instances[2].die()
            work[2].cancel()
            work[5].cancel()
            for instance in instances.dropLast() { try await eventually { await instance.hubspot.budget.allotted >= 26 } }
            let inherited = ContinuousClock.now - death
            #expect(inherited < .seconds(15), "\(inherited)")
            let two = try await throughput(simulator)
            #expect(two >= 0.75, "\(two)")

            // One says that it leaves; the last one soon has everything.
            await instances[1].stop()
            work[1].cancel()
            work[4].cancel()
            try await eventually { await instances[0].hubspot.budget.allotted >= 57 }
            print("throughput of the limit: one busy \(one), three \(three), two \(two); inherited after \(inherited)")
            for task in work { task.cancel() }
            for task in work { await task.value }
            await instances[0].stop()
            #expect(simulator.maxSearchesInAnyWindow(.seconds(1)) >= 4)
            expectNoRefusal(simulator)
        }
    }

    @Test func togetherTheyKeepTheLimitOfAssociationsToo() async throws {
        try await withSimulator { simulator in
            let instances = (1...2).map { Instance($0, simulator, ScratchDatabase.current) }
            for instance in instances { try await eventually { await instance.hubspot.budget.instances == 2 } }
            var others: Int { simulator.calls["GET account-info/details"]?.values.reduce(0, +) ?? 0 }
            var work = [instances[0].work(as: .webhook, .associations)]
            try await eventually { await instances[0].hubspot.budget.allotted >= 51 }
            work.append(instances[1].work(as: .webhook, .associations))
            try await eventually { simulator.callCount - others >= 4 * 45 }
            // Another call waits for none of them.
            let before = others
            work.append(instances[0].work(1, as: .live))
            try await eventually { others - before >= 20 }
            for task in work { task.cancel() }
            for task in work { await task.value }
            for instance in instances { await instance.stop() }
            let most = simulator.maxAssociationsInAnyWindow(Self.limit.interval)
            #expect((40...45).contains(most), "\(most)")
            expectNoRefusal(simulator, answers: [200, 207])  // 207: the contact has no associations
        }
    }

    /// And the next one what the last one has not used, although that has just gone: each start is a member of its own.
    @Test func aLoneInstanceHasTheWholeLimitFromTheStart() async throws {
        let slow = RateLimit(calls: 60, interval: .seconds(30))
        try await withSimulator(slow) { simulator in
            let start = ContinuousClock.now
            for (number, calls) in [(1, 25), (2, 35)] {
                let instance = Instance(number, simulator, ScratchDatabase.current, slow)
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for _ in 0..<calls { group.addTask { _ = try await instance.hubspot.account(as: .webhook) } }
                    try await group.waitForAll()
                }
                await instance.stop()
            }
            // Far less than the interval, after which all calls would be free again.
            #expect(ContinuousClock.now - start < .seconds(15))
            expectNoRefusal(simulator, slow)
        }
    }

    /// MongoDB away for all: they go on with what they have, and share again when it is back.
    @Test func withoutMongoDBTheSharesStay() async throws {
        let server = try await MongoServer.start()
        let databases = try (0..<2).map { _ in
            try MongoDatabase(MongoSettings(uri: server.uri("limits", options: "&serverSelectionTimeoutMS=500"), threads: 2))
        }
        try await withSimulator { simulator in
            let instances = (0..<2).map { Instance($0, simulator, databases[$0]) }
            for instance in instances { try await eventually { await instance.hubspot.budget.instances == 2 } }
            let work = instances.map { $0.work() }
            for instance in instances { try await eventually { (26...30).contains(await instance.hubspot.budget.allotted) } }
            await server.stop()
            // Longer than any claim holds.
            for _ in 0..<2 { #expect(try await throughput(simulator) >= 0.75) }
            let alone = Instance(9, simulator, databases[0])
            _ = try await alone.hubspot.account(as: .live)
            #expect((1...3).contains(await alone.hubspot.budget.allotted))
            await alone.die()
            try await server.resume()
            work[1].cancel()
            try await eventually { await instances[0].hubspot.budget.allotted >= 50 }
            work[0].cancel()
            for task in work { await task.value }
            for instance in instances { await instance.stop() }
            expectNoRefusal(simulator)
        }
        await server.stop()
        for database in databases { await database.shutDown() }
    }
}
