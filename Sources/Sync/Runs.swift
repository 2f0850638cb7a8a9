public import HubSpot
public import Logging
import Metrics
public import Model
import Mongo
public import ServiceLifecycle
public import Store

/// All syncs: starts them, lets the same request join, tells who watches, cancels, and keeps them in MongoDB, where every instance
/// sees them.
///
/// A run lives in this service, not in the request that asked for it: a client that hangs up does not stop it. Nor does the end of
/// this instance: the run's lease ends, and another instance, or this one after its restart, goes on where it stood.
public actor Runs: Service {
    /// Finished runs kept in memory until MongoDB has them; the oldest goes first.
    private static let unsavedMax = 100
    private static let heartbeatEvery: Duration = .seconds(1)
    /// A run whose instance has been silent this long is taken over.
    private static let deadAfter: Duration = .seconds(10)
    /// How often a run of another instance is looked at for those who wait for it or watch it.
    private static let lookEvery: Duration = .milliseconds(500)

    private struct Active {
        /// Of its job: a run that was lost to another instance may come back while its old job is still ending.
        let number: Int
        var run: Run
        var isCancelled = false
        let cancel: AsyncStream<Void>.Continuation
        /// Resumed with nil when the run goes on elsewhere.
        var waiters: [Int: CheckedContinuation<Run?, any Error>] = [:]
        var watchers: [Int: AsyncStream<Run>.Continuation] = [:]
    }

    private struct Job: Sendable {
        let number: Int
        let run: Run
        let cancelled: AsyncStream<Void>
    }

    private let store: RunStore
    private let owner: String
    private let sync: FullSync
    private let incremental: IncrementalSync
    private let reconcile: Reconcile
    private let logger: Logger
    private var active: [String: Active] = [:]
    /// Runs that are on their way into MongoDB, by scope, so that all who ask at once get the same.
    private var beginnings: [SyncScope: Task<Run, Never>] = [:]
    private var unsaved: [Run] = []
    /// Of those who wait or watch, so that each can be told apart.
    private var listenerCount = 0
    private var jobCount = 0
    private var isStopping = false
    private let jobs: AsyncStream<Job>
    private let addJob: AsyncStream<Job>.Continuation

    /// - Parameter instance: names this instance in MongoDB.
    public init(store: Store, hubspot: HubSpotClient, catalog: PropertyCatalog, instance: String, logger: Logger) {
        self.store = store.runs
        // Another one after a restart: two processes of one name may overlap.
        owner = "\(instance)/\(Runs.randomText)"
        self.logger = logger
        sync = FullSync(hubspot: hubspot, mirror: store.writer, catalog: catalog, reader: store.mirror, watermarks: store.watermarks)
        incremental = IncrementalSync(hubspot: hubspot, mirror: store.writer, catalog: catalog, reader: store.mirror, watermarks: store.watermarks)
        reconcile = Reconcile(hubspot: hubspot, mirror: store.writer, catalog: catalog, reader: store.mirror)
        (jobs, addJob) = AsyncStream.makeStream()
        // From the start: Prometheus cannot see a counter rise that begins with 1.
        for scope in [.all(), .incremental] + RecordType.allCases.map({ SyncScope.one($0) }) {
            for state in Run.State.allCases where state != .running { Runs.ended(scope, state).increment(by: 0) }
        }
    }

    // MARK: Asking

    /// Starts a sync of `scope`, or joins the one that is running, on whichever instance. One that was asked to stop is not joined.
    ///
    /// Without MongoDB the run fails at once and says so.
    public func start(_ scope: SyncScope) async throws(StoppedError) -> Run {
        if let running = active.values.first(where: { $0.run.scope == scope && !$0.isCancelled }) { return running.run }
        guard !isStopping else { throw StoppedError() }
        if let beginning = beginnings[scope] { return await beginning.value }
        // Belongs to all who ask at once, so a caller that is cancelled does not take it with it.
        let beginning = Task { await self.begin(scope) }
        beginnings[scope] = beginning
        return await beginning.value
    }

    private func begin(_ scope: SyncScope) async -> Run {
        defer { beginnings[scope] = nil }
        let now = Timestamp.now
        let run = Run(id: Runs.id(at: now), scope: scope, startedAt: now)
        do {
            if let other = try await store.begin(run, owner: owner) { return active[other.id]?.run ?? other }
            carryOn(run)
            return run
        } catch {
            let failure = failure(of: error, type: nil)
            let job = activate(run)
            if let message = failure.message { note(message, job) }
            return await finish(job, failure) ?? run
        }
    }

    /// The run as it stands when it has finished, on whichever instance; nil for an unknown id.
    ///
    /// - Throws: `CancellationError` when the caller is cancelled or this instance stops; the run goes on.
    public func finished(_ id: String) async throws -> Run? {
        while true {
            if active[id] != nil {
                if let run = try await finishedHere(id) { return run }
            } else {
                guard let run = try await run(id) else { return nil }
                if run.isFinished { return run }
                try await Task.sleep(for: Runs.lookEvery, clock: .core)
            }
        }
    }

    private func finishedHere(_ id: String) async throws -> Run? {
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

    /// Runs that this instance carries out.
    public var running: [Run] { active.values.map(\.run).sorted { $0.id < $1.id } }

    /// The run now and after each change until it has finished; nil for an unknown id.
    public func updates(of id: String) async throws -> AsyncStream<Run>? {
        guard let current = try await run(id) else { return nil }
        let (stream, continuation) = AsyncStream<Run>.makeStream(bufferingPolicy: .bufferingNewest(1))
        continuation.yield(active[id]?.run ?? current)
        if active[id] != nil {
            listenerCount += 1
            let watcher = listenerCount
            active[id]?.watchers[watcher] = continuation
            continuation.onTermination = { [weak self] _ in
                // The stream ends outside the actor; nothing waits for this.
                Task { await self?.forget(watcher, of: id) }
            }
        } else if current.isFinished {
            continuation.finish()
        } else {
            // Of another instance. Ends with the run or with its reader.
            let looking = Task { await self.look(at: id, for: continuation) }
            continuation.onTermination = { _ in looking.cancel() }
        }
        return stream
    }

    private func look(at id: String, for continuation: AsyncStream<Run>.Continuation) async {
        while !Task.isCancelled {
            // MongoDB may be away for a while: the next look shows more.
            if let run = try? await run(id) {
                continuation.yield(run)
                if run.isFinished { break }
            }
            try? await Task.sleep(for: Runs.lookEvery, clock: .core)  // cancelled while asleep: the loop's condition ends it
        }
        continuation.finish()
    }

    private func forget(_ watcher: Int, of id: String) { active[id]?.watchers.removeValue(forKey: watcher) }

    /// Asks the run to stop; it ends as `cancelled` once what is in hand is written. A finished run stays as it is.
    public func cancel(_ id: String) async throws -> Run? {
        stopWorking(on: id)
        do {
            try await store.requestCancel(id)
        } catch where active[id] != nil {
            // It ends all the same; MongoDB hears of it then.
        }
        return try await run(id)
    }

    private func stopWorking(on id: String) {
        active[id]?.isCancelled = true
        active[id]?.cancel.yield()
    }

    // MARK: Working

    /// Carries the jobs out until the service stops; then leaves what runs to whoever takes it up.
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

    private func carryOn(_ run: Run) {
        guard active[run.id] == nil, !isStopping else { return }
        addJob.yield(activate(run))
    }

    private func activate(_ run: Run) -> Job {
        jobCount += 1
        let (cancelled, cancel) = AsyncStream<Void>.makeStream()
        active[run.id] = Active(number: jobCount, run: run, cancel: cancel)
        return Job(number: jobCount, run: run, cancelled: cancelled)
    }

    /// nil once the run is no longer this job's.
    private func current(_ job: Job) -> Active? { active[job.run.id].flatMap { $0.number == job.number ? $0 : nil } }

    private enum End: Sendable {
        case done
        case failed(Failure)
        case cancelled
        /// This instance stops.
        case released
    }

    private struct Failure: Sendable {
        let code: Run.FailureCode
        let message: String?
    }

    private func carryOut(_ job: Job) async {
        logger.info(
            "Sync starts",
            metadata: ["run": "\(job.run.id)", "scope": "\(job.run.scope.name)", "resumptions": "\(job.run.resumptions)"])
        let end = await withTaskGroup(of: End.self) { group in
            group.addTask {
                for await _ in job.cancelled { break }
                return Task.isCancelled ? .released : .cancelled
            }
            group.addTask { await self.work(job) }
            let first = await group.next() ?? .released
            group.cancelAll()
            return first
        }
        switch end {
        case .done: _ = await finish(job, nil)
        case .failed(let failure): _ = await finish(job, failure)
        case .cancelled: _ = await finish(job, Failure(code: .cancelled, message: nil))
        case .released: await release(job)
        }
    }

    private func work(_ job: Job) async -> End {
        await withTaskGroup(of: Failure?.self) { group in
            for (type, progress) in job.run.byType where !progress.isDone {
                group.addTask {
                    do {
                        try await self.work(type, progress, of: job)
                        await self.noteDone(type, job)
                        return nil
                    } catch {
                        return await self.failure(of: error, type: type)
                    }
                }
            }
            var first: Failure?
            for await failure in group {
                guard let failure else { continue }
                if let message = failure.message { note(message, job) }
                first = first ?? failure
            }
            if Task.isCancelled { return .released }
            return first.map(End.failed) ?? .done
        }
    }

    private nonisolated func work(_ type: RecordType, _ progress: TypeProgress, of job: Job) async throws {
        let run = job.run
        let part = FullSync.Job(type: type, limit: run.scope.limit, startedAt: run.startedAt, progress: progress) { report in
            await self.note(report, type, job)
        }
        switch run.scope.kind {
        case .full: try await sync.run(part)
        case .incremental: try await incremental.run(type, report: part.report)
        case .reconcile: try await reconcile.run(part)
        }
    }

    private func noteDone(_ type: RecordType, _ job: Job) {
        if current(job) != nil { active[job.run.id]?.run.byType[type]?.isDone = true }
    }

    private func note(_ message: String, _ job: Job) {
        if current(job) != nil { active[job.run.id]?.run.note(message) }
    }

    private func note(_ report: FullSync.Report, _ type: RecordType, _ job: Job) {
        guard var entry = current(job) else { return }
        var progress = entry.run.byType[type] ?? TypeProgress()
        switch report {
        case .total(let total): progress.total = total
        case .step(let step): progress.walk.take(step)
        case .page(let outcome, let failures, let step):
            if let step { progress.walk.take(step) }
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
                case .again:
                    progress.errors += 1
                    entry.run.note("\(type.rawValue) \(key.id): could not be asked for; the next sync asks again")
                case .broken(let message):
                    progress.errors += 1
                    entry.run.note("\(type.rawValue) \(key.id): \(message)")
                }
            }
        }
        entry.run.byType[type] = progress
        for watcher in entry.watchers.values { watcher.yield(entry.run) }
        active[job.run.id] = entry
    }

    private func finish(_ job: Job, _ failure: Failure?) async -> Run? {
        guard var entry = current(job) else { return nil }
        active[job.run.id] = nil
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
        Runs.ended(run.scope, run.state).increment()
        logger.info(
            "Sync ended",
            metadata: [
                "run": "\(run.id)", "state": "\(run.state.rawValue)", "synced": "\(sum.synced)", "updated": "\(sum.updated)",
                "unchanged": "\(sum.unchanged)", "errors": "\(sum.errors)", "code": "\(failure?.code.rawValue ?? "none")",
            ])
        await saveProgress()
        for waiter in entry.waiters.values { waiter.resume(returning: run) }
        for watcher in entry.watchers.values {
            watcher.yield(run)
            watcher.finish()
        }
        return run
    }

    /// Leaves the run to whoever takes it up: this instance stops.
    private func release(_ job: Job) async {
        guard let entry = current(job) else { return }
        let id = job.run.id
        active[id] = nil
        logger.info("Sync is left for the next start or another instance", metadata: ["run": "\(id)"])
        let store = store, owner = owner
        do {
            // Not in this task, which is cancelled.
            try await Task { try await store.release(entry.run, owner: owner) }.value
        } catch {
            logger.warning("A run could not be given back; its lease will end", metadata: ["run": "\(id)", "error": "\(error)"])
        }
        for waiter in entry.waiters.values { waiter.resume(throwing: CancellationError()) }
        for watcher in entry.watchers.values { watcher.finish() }
    }

    /// Another instance has taken the run over while this one was silent.
    private func lose(_ id: String) {
        stopWorking(on: id)
        guard let entry = active.removeValue(forKey: id) else { return }
        logger.warning("Another instance has taken over a run", metadata: ["run": "\(id)"])
        for waiter in entry.waiters.values { waiter.resume(returning: nil) }
        for watcher in entry.watchers.values {
            let looking = Task { await self.look(at: id, for: watcher) }
            watcher.onTermination = { _ in looking.cancel() }
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
                code: error.isTransient ? .mongodbUnreachable : .mongodbRefused, message: prefix + error.message)
        default:
            logger.error("Sync failed in an unforeseen way", metadata: ["error": "\(error)"])
            return Failure(code: .interrupted, message: prefix + "internal error")
        }
    }

    // MARK: Books

    private func keepBooks() async {
        while !Task.isCancelled {
            await saveProgress()
            await takeOver()
            // Cancelled while asleep: the loop's condition ends it.
            try? await Task.sleep(for: Runs.heartbeatEvery, clock: .core)
        }
    }

    /// Writes finished runs and the progress of running ones, which renews their leases. What MongoDB does not take now is tried again
    /// at the next beat.
    private func saveProgress() async {
        for run in unsaved {
            guard await save(run) != nil else { return }
            unsaved.removeAll { $0.id == run.id }
        }
        for id in Array(active.keys) {
            active[id]?.run.heartbeatAt = .now
            guard let run = active[id]?.run else { continue }
            switch await save(run) {
            case nil: return
            case .saved: break
            case .cancelRequested: stopWorking(on: id)
            case .lost: lose(id)
            }
        }
    }

    private func save(_ run: Run) async -> RunStore.Saved? {
        do {
            return try await store.save(run, owner: owner)
        } catch {
            logger.warning("A run's progress could not be saved", metadata: ["run": "\(run.id)", "error": "\(error)"])
            return nil
        }
    }

    private func takeOver() async {
        do {
            while !isStopping, beginnings.isEmpty {
                let now = Timestamp.now
                let current = Array(active.keys) + unsaved.map(\.id)
                guard let run = try await store.takeOver(owner: owner, but: current, silentSince: now - Runs.deadAfter, at: now) else { return }
                carryOn(run)
            }
        } catch {
            logger.debug("Runs that nobody carries out could not be looked for", metadata: ["error": "\(error)"])
        }
    }

    private static func ended(_ scope: SyncScope, _ state: Run.State) -> Counter {
        Counter(label: "sync_runs_total", dimensions: [("scope", scope.name), ("state", state.rawValue)])
    }

    /// Sorts by time; the random tail keeps instances apart.
    private static func id(at now: Timestamp) -> String {
        let time = now.iso8601.filter { $0.isNumber }
        return "\(time)-\(randomText)"
    }

    private static var randomText: String {
        var random = CoreRandom()
        return String(random.next() >> 32, radix: 36)
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
