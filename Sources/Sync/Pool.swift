public import HubSpot
public import Logging
import Metrics
public import Model
import Mongo
public import Rules
public import ServiceLifecycle
public import Store

/// Works on what deliveries ask for: reads the records that may have changed, at most `concurrency` batches at a time, and brings
/// the mirror up to them.
///
/// Everything here can be lost: a delivery stays pending in the inbox until all its records are done, and is taken up again.
public actor Pool: Service {
    /// Records that may be known at once. Further deliveries stay in the inbox until there is room.
    public static let recordsMax = 100_000
    public static let lease: Duration = .seconds(15)
    private static let renewEvery: Duration = .seconds(3)
    private static let flushEvery: Duration = .milliseconds(100)
    /// What is finished is noted a little at a time: MongoDB is some milliseconds over 200 at once, for which new deliveries wait.
    private static let flushMin = 32
    private static let flushPause: Duration = .milliseconds(10)
    private static let lagSamplesMax = 2000

    private struct Open {
        let id: String
        let receivedAt: Timestamp
        /// Records that are still owed to it.
        var left: Int
        var failed: [RecordKey] = []
    }

    private let inbox: Inbox
    private let outcomes: Outcomes
    private let hubspot: HubSpotClient
    private let concurrency: Int
    private let owner: String
    private let logger: Logger
    private let backoff: Backoff

    private var queue = RecordQueue()
    private var open: [RecordQueue.Delivery: Open] = [:]
    /// The ends of the leases of those that are not noted as finished.
    private var leases: [String: Timestamp] = [:]
    private var lastNumber = 0
    private var claims = 0
    private var finished: [(id: String, failed: [RecordKey])] = []
    private var running = 0
    private var lagsMs: [Int64] = []
    private var lagCursor = 0
    private var pacing = BatchPacing()
    /// Whether anything has come in since batches were last asked for.
    private var hasNews = false
    private let origin = CoreClock.now
    /// Whether somebody wakes the loop when the next paced batch is due.
    private var isPaced = false
    private let wakeUps: AsyncStream<Void>
    private let wake: AsyncStream<Void>.Continuation

    /// - Parameters:
    ///   - owner: names this instance in the inbox; the same after a restart.
    ///   - backoff: of a record that is tried again.
    public init(
        store: Store, hubspot: HubSpotClient, catalog: PropertyCatalog, concurrency: Int, owner: String,
        backoff: Backoff = Backoff(base: .milliseconds(250), cap: .seconds(30)), logger: Logger
    ) {
        self.backoff = backoff
        inbox = store.inbox
        outcomes = Outcomes(mirror: store.writer, hubspot: hubspot, catalog: catalog, callClass: .webhook)
        self.hubspot = hubspot
        self.concurrency = concurrency
        self.owner = owner
        self.logger = logger
        (wakeUps, wake) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    // MARK: Taking

    /// Whether another delivery would be taken; otherwise it waits in the inbox.
    public var hasRoom: Bool { queue.count < Pool.recordsMax }

    /// Takes a durable delivery that this instance leased until `leaseUntil`.
    public func take(_ delivery: Delivery, leaseUntil: Timestamp) {
        guard leases.updateValue(leaseUntil, forKey: delivery.id) == nil else { return }
        var wishes: [RecordKey: RecordQueue.Wish] = [:]
        for event in delivery.events { for (key, wish) in event.wishes { wishes[key, default: .init()].add(wish) } }
        guard !wishes.isEmpty else { return finished.append((delivery.id, [])) }
        lastNumber += 1
        open[lastNumber] = Open(id: delivery.id, receivedAt: delivery.receivedAt, left: wishes.count)
        for (key, wish) in wishes { queue.add(key, wish, of: lastNumber, at: delivery.receivedAt) }
        hasNews = true
        wake.yield()
    }

    /// Reads these records again, although no delivery says so.
    public func refresh(_ keys: [RecordKey]) {
        for key in keys { queue.add(key, .init(), of: nil, at: .now) }
        hasNews = true
        wake.yield()
    }

    /// Looks into the inbox at once instead of at the next turn.
    public func lookIntoInbox() async { await claim() }

    /// What the status shows.
    public struct Numbers: Sendable {
        public let queued: Int
        public let inFlight: Int
        public let retrying: Int
        public let oldest: Timestamp?
        /// Milliseconds from the receipt of a delivery to the end of its last record; nil before the first.
        public let lagP50Ms: Int64?
        public let lagP99Ms: Int64?
    }

    public var numbers: Numbers {
        let lags = lagsMs.sorted()
        func percentile(_ share: Double) -> Int64? { lags.isEmpty ? nil : lags[min(lags.count - 1, Int(Double(lags.count) * share))] }
        return Numbers(
            queued: queue.waitingCount, inFlight: queue.runningCount, retrying: queue.retryingCount, oldest: queue.oldest,
            lagP50Ms: percentile(0.5), lagP99Ms: percentile(0.99))
    }

    // MARK: Working

    public func run() async throws {
        await cancelWhenGracefulShutdown {
            await withDiscardingTaskGroup { group in
                group.addTask { await self.keepLeases() }
                group.addTask { await self.keepFlushing() }
                await self.dispatch(in: &group)
                group.cancelAll()
            }
        }
        await flush()
        do {
            try await inbox.release(owner: owner)
        } catch {
            logger.warning("Deliveries could not be given back; their leases will end", metadata: ["error": "\(error)"])
        }
    }

    private func dispatch(in group: inout DiscardingTaskGroup) async {
        var alarm: Timestamp?
        for await _ in wakeUps {
            if Task.isCancelled { return }
            if queue.takeUpRetries(at: .now) { hasNews = true }
            while running < concurrency {
                if let pause = await gatheringPause() {
                    if !isPaced {
                        isPaced = true
                        group.addTask { await self.endPace(after: pause) }
                    }
                    break
                }
                let batch = queue.nextBatch(max: HubSpotClient.batchMax, at: .now)
                guard !batch.isEmpty else { break }
                running += 1
                group.addTask { await self.carryOut(batch) }
            }
            if let due = queue.nextRetry, running < concurrency, alarm.map({ due < $0 || $0 <= .now }) ?? true {
                alarm = due
                let pause = due - .now
                group.addTask { await self.wake(after: pause) }
            }
        }
    }

    private func wake(after pause: Duration) async {
        // Not less than a clock counts: it would wake at the same instant, for ever. Cancelled while asleep: the loop that would be woken
        // has ended.
        try? await Task.sleep(for: max(Duration.milliseconds(1), pause), clock: .core)
        wake.yield()
    }

    private func endPace(after pause: Duration) async {
        await wake(after: pause)
        isPaced = false
    }

    /// How long to let records gather (`BatchPacing`); nil: a batch goes out.
    private func gatheringPause() async -> Duration? {
        guard queue.waitingCount > 0 else { return nil }
        let budget = await hubspot.budget
        // What comes in while a call of ours waits would only wait behind it.
        if queue.waitingCount < HubSpotClient.batchMax, budget.waiting[.webhook] != nil { return Pool.askAgainAfter }
        // What other instances use of our part comes back as soon as we need it.
        let calls = max(1, budget.allotted, budget.limit.calls / (budget.instances ?? 1))
        let isNews = hasNews
        hasNews = false
        let pause = pacing.pause(
            waiting: queue.waitingCount, max: HubSpotClient.batchMax, isNews: isNews,
            limit: RateLimit(calls: calls, interval: budget.limit.interval), isYielding: !budget.waiting.isEmpty, at: CoreClock.now - origin)
        if pause != nil { await hubspot.holdBack() }
        return pause
    }

    private static let askAgainAfter: Duration = .milliseconds(20)

    private func carryOut(_ batch: [RecordQueue.Task]) async {
        let results = await outcomes.reach(batch)
        let now = Timestamp.now
        var random = CoreRandom()
        for task in batch {
            let outcome: RecordQueue.Outcome
            switch results[task.key] ?? .again(nil) {
            case .reached, .left: outcome = .done
            case .stale where task.staleReads < Pool.staleAttemptsMax:
                // At least half of the ceiling: all repeats together must outlast HubSpot's lag.
                let ceiling = backoff.ceiling(failures: task.staleReads + 1)
                let delay = ceiling / 2 + backoff.delay(failures: task.staleReads + 1, using: &random) / 2
                outcome = .retry(at: now + delay, because: .stale)
            case .stale: outcome = .done
            case .again(let wait):
                let delay = backoff.delay(failures: task.attempt + 1, using: &random)
                outcome = .retry(at: now + max(delay, min(wait ?? .zero, Pool.awayMax)), because: .away)
            case .broken(let message) where task.failures + 1 < Pool.attemptsMax:
                logger.debug("A record failed; it is tried again", metadata: ["record": "\(task.key)", "error": "\(message)"])
                outcome = .retry(at: now + backoff.delay(failures: task.failures + 1, using: &random), because: .broken)
            case .broken(let message):
                logger.warning("A record is given up", metadata: ["record": "\(task.key)", "error": "\(message)"])
                await outcomes.giveUp(task.key, message)
                outcome = .failed
            }
            settle(task.key, outcome, at: now)
        }
        running -= 1
        wake.yield()
    }

    /// A new event brings a record that waits to the front, where it is refused at no cost: should it wait for hours, each would leave another
    /// entry behind.
    static let awayMax: Duration = .seconds(300)
    /// Attempts on a record that fails by itself.
    static let attemptsMax = 5
    /// Repeats of a read that is older than its event, over some seconds: then the event's clock is taken to be wrong.
    static let staleAttemptsMax = 6

    private func settle(_ key: RecordKey, _ outcome: RecordQueue.Outcome, at now: Timestamp) {
        for number in queue.finish(key, outcome) {
            guard var delivery = open[number] else { continue }
            delivery.left -= 1
            if case .failed = outcome { delivery.failed.append(key) }
            guard delivery.left == 0 else {
                open[number] = delivery
                continue
            }
            open.removeValue(forKey: number)
            finished.append((delivery.id, delivery.failed))
            noteLag((now - delivery.receivedAt).milliseconds)
        }
    }

    private func noteLag(_ milliseconds: Int64) {
        if lagsMs.count < Pool.lagSamplesMax {
            lagsMs.append(milliseconds)
        } else {
            lagsMs[lagCursor] = milliseconds
            lagCursor = (lagCursor + 1) % Pool.lagSamplesMax
        }
        Timer(label: "inbox_lag_seconds").recordMilliseconds(milliseconds)
    }

    // MARK: Inbox

    /// Notes finished deliveries in the inbox, many in one write. One that is not noted before a crash is done once more.
    private func keepFlushing() async {
        while !Task.isCancelled {
            let isNoted = await flush(max(Pool.flushMin, finished.count / 4))
            // Cancelled while asleep: the loop's condition ends it.
            try? await Task.sleep(for: isNoted && !finished.isEmpty ? Pool.flushPause : Pool.flushEvery, clock: .core)
        }
    }

    /// - Returns: false when MongoDB could not be told.
    @discardableResult
    private func flush(_ count: Int = .max) async -> Bool {
        let done = Array(finished.prefix(count))
        guard !done.isEmpty else { return true }
        finished.removeFirst(done.count)
        do {
            try await inbox.finish(done, at: .now)
            for delivery in done { leases.removeValue(forKey: delivery.id) }
            return true
        } catch {
            finished = done + finished
            logger.debug("Finished deliveries could not be noted yet", metadata: ["error": "\(error)"])
            return false
        }
    }

    private func claim() async {
        do {
            while hasRoom {
                claims += 1
                let now = Timestamp.now, leaseUntil = now + Pool.lease
                let deliveries = try await inbox.claim(
                    "\(owner)/\(now.milliseconds)/\(claims)", owner: owner, limit: 200, now: now, leaseUntil: leaseUntil)
                for delivery in deliveries { take(delivery, leaseUntil: leaseUntil) }
                guard !deliveries.isEmpty else { break }
                logger.info("Deliveries are taken up", metadata: ["count": "\(deliveries.count)"])
            }
        } catch {
            logger.debug("The inbox could not be looked into", metadata: ["error": "\(error)"])
        }
    }

    /// Renews what has used up a third of its lease: most deliveries are finished before, and their renewal would cost a write each.
    private func renewLeases() async throws {
        let leaseUntil = Timestamp.now + Pool.lease
        let ids = leases.filter { leaseUntil - $0.value >= Pool.lease / 3 }.map(\.key)
        guard !ids.isEmpty else { return }
        try await inbox.renew(ids, owner: owner, leaseUntil: leaseUntil)
        for id in ids where leases[id] != nil { leases[id] = leaseUntil }
    }

    /// Keeps this instance's deliveries its own, and takes up what nobody works on: what was left behind, what there was no room
    /// for, and what an operator wants replayed.
    private func keepLeases() async {
        var hasReleased = false
        while !Task.isCancelled {
            do {
                if !hasReleased {
                    try await inbox.release(owner: owner)
                    hasReleased = true
                }
                try await renewLeases()
                await claim()
            } catch {
                logger.debug("The inbox could not be looked into", metadata: ["error": "\(error)"])
            }
            // Cancelled while asleep: the loop's condition ends it.
            try? await Task.sleep(for: hasReleased ? Pool.renewEvery : .milliseconds(500), clock: .core)
        }
    }
}
