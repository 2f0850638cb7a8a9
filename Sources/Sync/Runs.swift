public import HubSpot
public import Logging
public import Model
import Mongo
public import ServiceLifecycle
public import Store

/// All syncs of this instance: starts them, lets the same request join, tells who watches, cancels, and keeps them in MongoDB.
///
/// A run lives in this service, not in the request that asked for it: a client that hangs up does not stop it.
public actor Runs: Service {
    /// Finished runs kept in memory until MongoDB has them; the oldest goes first.
    private static let unsavedMax = 100
    private static let heartbeatEvery: Duration = .seconds(1)
    /// A running run whose instance has been silent this long is dead.
    private static let deadAfter: Duration = .seconds(30)

    private struct Active {
        var run: Run
        var isCancelled = false
        let cancel: AsyncStream<Void>.Continuation
        var waiters: [Int: CheckedContinuation<Run, any Error>] = [:]
        var watchers: [Int: AsyncStream<Run>.Continuation] = [:]
    }

    private struct Job: Sendable {
        let id: String
        let scope: SyncScope
        let cancelled: AsyncStream<Void>
    }

    private let store: RunStore
    private let sync: FullSync
    private let incremental: IncrementalSync
    private let logger: Logger
    private var active: [String: Active] = [:]
    private var unsaved: [Run] = []
    /// Of those who wait or watch, so that each can be told apart.
    private var listenerCount = 0
    private var isStopping = false
    private let jobs: AsyncStream<Job>
    private let addJob: AsyncStream<Job>.Continuation

    public init(store: Store, hubspot: HubSpotClient, catalog: PropertyCatalog, logger: Logger) {
        self.store = store.runs
        self.logger = logger
        sync = FullSync(hubspot: hubspot, mirror: store.writer, catalog: catalog, reader: store.mirror, watermarks: store.watermarks)
        incremental = IncrementalSync(hubspot: hubspot, mirror: store.writer, catalog: catalog, reader: store.mirror, watermarks: store.watermarks)
        (jobs, addJob) = AsyncStream.makeStream()
    }

    // MARK: Asking

    /// Starts a sync of `scope`, or joins the one that is running. One that was asked to stop is not joined.
    public func start(_ scope: SyncScope) throws(StoppedError) -> Run {
        if let running = active.values.first(where: { $0.run.scope == scope && !$0.isCancelled }) { return running.run }
        guard !isStopping else { throw StoppedError() }
        let now = Timestamp.now
        let run = Run(id: Runs.id(at: now), scope: scope, startedAt: now)
        let (cancelled, cancel) = AsyncStream<Void>.makeStream()
        active[run.id] = Active(run: run, cancel: cancel)
        addJob.yield(Job(id: run.id, scope: scope, cancelled: cancelled))
        return run
    }

    /// The run as it stands when it has finished; nil for an unknown id.
    ///
    /// - Throws: `CancellationError` when the caller is cancelled; the run goes on.
    public func finished(_ id: String) async throws -> Run? {
        guard active[id] != nil else { return try await run(id) }
        listenerCount += 1
        let waiter = listenerCount
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                if Task.isCancelled { return continuation.resume(throwing: CancellationError()) }
                active[id]?.waiters[waiter] = continuation
            }
        } onCancel: {
            // The handler cannot wait for the actor.
            Task { await self.giveUp(waiter, on: id) }
        }
    }

    private func giveUp(_ waiter: Int, on id: String) {
        active[id]?.waiters.removeValue(forKey: waiter)?.resume(throwing: CancellationError())
    }

    /// The run as it stands now; nil for an unknown id.
    public func run(_ id: String) async throws -> Run? {
        if let run = active[id]?.run ?? unsaved.last(where: { $0.id == id }) { return run }
        return try await store.load(id)
    }

    /// Newest first. Runs of this instance come with their latest progress.
    public func latest(limit: Int) async throws -> [Run] {
        var runs = try await store.latest(limit: limit)
        for index in runs.indices {
            let id = runs[index].id
            runs[index] = active[id]?.run ?? unsaved.last { $0.id == id } ?? runs[index]
        }
        let known = Set(runs.map(\.id))
        let missing = active.values.map(\.run).filter { !known.contains($0.id) } + unsaved.filter { !known.contains($0.id) }
        return (missing + runs).sorted { $0.id > $1.id }.prefix(limit).map(\.self)
    }

    /// Runs of this instance that are going on.
    public var running: [Run] { active.values.map(\.run).sorted { $0.id < $1.id } }

    /// The run now and after each change until it has finished. One that is not running here yields once.
    public func updates(of id: String) async throws -> AsyncStream<Run>? {
        guard let current = try await run(id) else { return nil }
        let (stream, continuation) = AsyncStream<Run>.makeStream(bufferingPolicy: .bufferingNewest(1))
        continuation.yield(active[id]?.run ?? current)
        guard active[id] != nil else {
            continuation.finish()
            return stream
        }
        listenerCount += 1
        let watcher = listenerCount
        active[id]?.watchers[watcher] = continuation
        continuation.onTermination = { [weak self] _ in
            // The stream ends outside the actor; nothing waits for this.
            Task { await self?.forget(watcher, of: id) }
        }
        return stream
    }

    private func forget(_ watcher: Int, of id: String) { active[id]?.watchers.removeValue(forKey: watcher) }

    /// Asks the run to stop; it ends as `cancelled` once what is in hand is written. A finished run stays as it is.
    public func cancel(_ id: String) async throws -> Run? {
        active[id]?.isCancelled = true
        active[id]?.cancel.yield()
        return try await run(id)
    }

    // MARK: Working

    /// Carries the jobs out until the service stops; then cancels what runs.
    public func run() async throws {
        await withGracefulShutdownHandler {
            await withDiscardingTaskGroup { group in
                group.addTask { await self.keepBooks() }
                for await job in self.jobs {
                    group.addTask { await self.carryOut(job) }
                }
                group.cancelAll()
            }
        } onGracefulShutdown: {
            // The handler cannot wait; `stop` ends the stream that the loop above waits for.
            Task { await self.stop() }
        }
        await saveProgress()
    }

    private func stop() {
        isStopping = true
        addJob.finish()
    }

    private func carryOut(_ job: Job) async {
        logger.info("Sync starts", metadata: ["run": "\(job.id)", "scope": "\(job.scope.name)"])
        let failure = await withTaskGroup(of: Failure?.self) { group in
            group.addTask {
                for await _ in job.cancelled { break }
                return Failure(code: Task.isCancelled ? .interrupted : .cancelled, message: nil)
            }
            group.addTask { await self.work(job) }
            let first = await group.next() ?? nil
            group.cancelAll()
            return first
        }
        await finish(job.id, failure)
    }

    private struct Failure: Sendable {
        let code: Run.FailureCode
        let message: String?
    }

    private func work(_ job: Job) async -> Failure? {
        do {
            if let run = active[job.id]?.run { try await store.save(run) }
        } catch {
            return failure(of: error, type: nil)
        }
        return await withTaskGroup(of: Failure?.self) { group in
            for type in job.scope.types {
                group.addTask {
                    do {
                        switch job.scope.kind {
                        case .full: try await self.sync.run(type, limit: job.scope.limit) { await self.note($0, type, job.id) }
                        case .incremental: try await self.incremental.run(type) { await self.note($0, type, job.id) }
                        }
                        return nil
                    } catch {
                        return await self.failure(of: error, type: type)
                    }
                }
            }
            var first: Failure?
            for await failure in group {
                guard let failure else { continue }
                if let message = failure.message { note(message, job.id) }
                first = first ?? failure
            }
            return first
        }
    }

    private func note(_ message: String, _ id: String) { active[id]?.run.note(message) }

    private func note(_ report: FullSync.Report, _ type: RecordType, _ id: String) {
        guard var entry = active[id] else { return }
        var progress = entry.run.byType[type] ?? TypeProgress()
        switch report {
        case .total(let total): progress.total = total
        case .page(let outcome, let failures):
            progress.synced += outcome.created
            // The mirror already has a newer state of those that came too late: nothing new in them.
            progress.updated += outcome.updated + outcome.outdated
            progress.unchanged += outcome.unchanged + outcome.outdated
            progress.errors += failures.count + outcome.failures.count
            for failure in failures { entry.run.note("\(type.rawValue) \(failure.id ?? "without id"): \(failure.message)") }
            for failure in outcome.failures { entry.run.note("\(type.rawValue) \(failure.id): \(failure.message)") }
        case .trouble(let message): entry.run.note(message)
        case .leftovers(let results):
            for (key, result) in results.sorted(by: { $0.key < $1.key }) {
                switch result {
                case .left: progress.archived += 1
                case .reached, .stale: break
                case .again: entry.run.note("\(type.rawValue) \(key.id): could not be asked for; the next sync asks again")
                case .broken(let message):
                    progress.errors += 1
                    entry.run.note("\(type.rawValue) \(key.id): \(message)")
                }
            }
        }
        entry.run.byType[type] = progress
        for watcher in entry.watchers.values { watcher.yield(entry.run) }
        active[id] = entry
    }

    private func finish(_ id: String, _ failure: Failure?) async {
        guard var entry = active.removeValue(forKey: id) else { return }
        let now = Timestamp.now
        entry.run.finishedAt = now
        entry.run.heartbeatAt = now
        entry.run.failureCode = failure?.code
        switch failure?.code {
        case nil: entry.run.state = .succeeded
        case .cancelled: entry.run.state = .cancelled
        default: entry.run.state = .failed
        }
        let run = entry.run
        unsaved.append(run)
        if unsaved.count > Runs.unsavedMax { unsaved.removeFirst() }
        let sum = run.sum
        logger.info(
            "Sync ended",
            metadata: [
                "run": "\(id)", "state": "\(run.state.rawValue)", "synced": "\(sum.synced)", "updated": "\(sum.updated)",
                "unchanged": "\(sum.unchanged)", "errors": "\(sum.errors)", "code": "\(failure?.code.rawValue ?? "none")",
            ])
        await saveProgress()
        for waiter in entry.waiters.values { waiter.resume(returning: run) }
        for watcher in entry.watchers.values {
            watcher.yield(run)
            watcher.finish()
        }
    }

    private func failure(of error: any Error, type: RecordType?) -> Failure {
        let prefix = type.map { "\($0.rawValue): " } ?? ""
        switch error {
        case is CancellationError: return Failure(code: .interrupted, message: nil)
        case let error as HubSpotError:
            if case .cancelled = error.kind { return Failure(code: .interrupted, message: nil) }
            return Failure(code: error.failureCode, message: prefix + error.message)
        case let error as MongoError:
            return Failure(
                code: error.kind == .unreachable ? .mongodbUnreachable : .mongodbRefused, message: prefix + error.message)
        default:
            logger.error("Sync failed in an unforeseen way", metadata: ["error": "\(error)"])
            return Failure(code: .interrupted, message: prefix + "internal error")
        }
    }

    // MARK: Books

    private func keepBooks() async {
        while !Task.isCancelled {
            await saveProgress()
            await buryTheDead()
            // Cancelled while asleep: the loop's condition ends it.
            try? await Task.sleep(for: Runs.heartbeatEvery)
        }
    }

    /// Writes finished runs and the progress of running ones. What MongoDB does not take now is tried again at the next beat.
    private func saveProgress() async {
        for run in unsaved {
            guard await save(run) else { return }
            unsaved.removeAll { $0.id == run.id }
        }
        for id in Array(active.keys) {
            active[id]?.run.heartbeatAt = .now
            if let run = active[id]?.run { guard await save(run) else { return } }
        }
    }

    private func save(_ run: Run) async -> Bool {
        do {
            try await store.save(run)
            return true
        } catch {
            logger.warning("A run's progress could not be saved", metadata: ["run": "\(run.id)", "error": "\(error)"])
            return false
        }
    }

    private func buryTheDead() async {
        do {
            try await store.failInterrupted(silentSince: Timestamp.now - Runs.deadAfter, at: .now)
        } catch {
            logger.debug("Interrupted runs could not be looked for", metadata: ["error": "\(error)"])
        }
    }

    /// Sorts by time; the random tail keeps instances apart.
    private static func id(at now: Timestamp) -> String {
        let time = now.iso8601.filter { $0.isNumber }
        let tail = String(UInt32.random(in: 0...UInt32.max), radix: 36)
        return "\(time)-\(tail)"
    }
}

/// The service is shutting down and takes nothing new.
public struct StoppedError: Error, Sendable {}

extension HubSpotError {
    /// What a run that failed for this reason says.
    var failureCode: Run.FailureCode {
        switch kind {
        case .unauthorized: .hubspotUnauthorized
        case .missingScopes: .hubspotMissingScopes
        case .notFound, .rejected: .hubspotRefused
        default: .hubspotUnreachable
        }
    }
}
