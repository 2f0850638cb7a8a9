public import Logging
public import Model
public import ServiceLifecycle
public import Store

/// Starts syncs at their intervals, one instance at a time.
public struct Scheduler: Service {
    private static let lookEvery: Duration = .seconds(5)
    /// Share of the interval by which a turn may come later, so that many accounts do not ask at the same second.
    private static let jitter = 0.1

    /// From a turn whose sync could not be begun, or whose instance died before it was, to the next.
    private static let repeatAfter: Duration = .seconds(30)

    private let schedule: ScheduleStore
    private let watermarks: WatermarkStore
    private let runs: Runs
    private let every: [(scope: SyncScope, every: Duration)]
    private let logger: Logger

    public init(store: Store, runs: Runs, every: [(scope: SyncScope, every: Duration)], logger: Logger) {
        schedule = store.schedule
        watermarks = store.watermarks
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
            let isTaken = try await schedule.takeTurn(
                scope.name, at: now, firstAt: next, nextAt: now + min(interval, Scheduler.repeatAfter),
                latest: now + interval * (1 + Scheduler.jitter))
            guard isTaken else { return }
            let run = try await runs.start(await isFirst(scope) ? .all() : scope)
            if run.state != .failed { try await schedule.setNext(scope.name, at: next) }
        } catch {
            logger.debug("The schedule could not be looked at", metadata: ["scope": "\(scope.name)", "error": "\(error)"])
        }
    }

    /// Whether an incremental sync has nothing to go on from: no full sync was ever complete. Where those are off, that is as wanted.
    private func isFirst(_ scope: SyncScope) async throws -> Bool {
        guard scope == .incremental, every.contains(where: { $0.scope == .all() }) else { return false }
        for type in RecordType.allCases where try await watermarks.load(type) != nil { return false }
        return true
    }
}
