public import Logging
public import Model
public import ServiceLifecycle
public import Store

/// Starts syncs at their intervals, one instance at a time.
public struct Scheduler: Service {
    private static let lookEvery: Duration = .seconds(5)
    /// Share of the interval by which a turn may come later, so that many accounts do not ask at the same second.
    private static let jitter = 0.1

    private let schedule: ScheduleStore
    private let runs: Runs
    private let every: [(scope: SyncScope, every: Duration)]
    private let logger: Logger

    public init(schedule: ScheduleStore, runs: Runs, every: [(scope: SyncScope, every: Duration)], logger: Logger) {
        self.schedule = schedule
        self.runs = runs
        self.every = every
        self.logger = logger
    }

    public func run() async throws {
        let shortest = every.map(\.every).min() ?? Scheduler.lookEvery
        await cancelWhenGracefulShutdown {
            while !Task.isCancelled {
                for (scope, interval) in every { await look(scope, interval) }
                // Cancelled while asleep: the loop's condition ends it.
                try? await Task.sleep(for: min(Scheduler.lookEvery, shortest / 4), clock: .core)
            }
        }
    }

    private func look(_ scope: SyncScope, _ interval: Duration) async {
        let now = Timestamp.now
        var random = CoreRandom()
        let next = now + interval * (1 + Double.random(in: 0...Scheduler.jitter, using: &random))
        do {
            guard try await schedule.takeTurn(scope.name, at: now, nextAt: next, latest: now + interval * (1 + Scheduler.jitter)) else { return }
            _ = try await runs.start(scope)
        } catch {
            logger.debug("The schedule could not be looked at", metadata: ["scope": "\(scope.name)", "error": "\(error)"])
        }
    }
}
