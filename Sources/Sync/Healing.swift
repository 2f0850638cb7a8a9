public import HubSpot
public import Logging
import Metrics
import Model
import Mongo
public import Rules
public import ServiceLifecycle
public import Store

/// Brings records that are `pending` or `error` back to `synced`, in HubSpot's least urgent class, one instance at a time.
///
/// Reads each record, and finds out what became of those that are gone. Associations have no age of their own; full syncs and their
/// events keep them.
public actor Healing: Service {
    private static let work = "healing"
    /// Records whose next attempt is remembered. Beyond it those that are due soonest are forgotten, so they are tried too early.
    private static let delayedMax = 10_000

    private let reader: MirrorReader
    private let outcomes: Outcomes
    private let schedule: ScheduleStore
    private let pause: Duration
    private let lookEvery: Duration
    private let backoff: Backoff
    private let logger: Logger
    /// Records that could not be healed, and that failed lately.
    private var delayed: [RecordKey: (attempts: Int, notBefore: Timestamp)] = [:]

    /// - Parameters:
    ///   - pause: between two batches of up to 100 records: bounds the rate, also while nobody else calls HubSpot.
    ///   - lookEvery: how often it looks for work when there is none.
    ///   - backoff: of a record that could not be healed.
    public init(
        store: Store, hubspot: HubSpotClient, catalog: PropertyCatalog, pause: Duration = .milliseconds(250),
        lookEvery: Duration = .seconds(5), backoff: Backoff = Backoff(base: .seconds(60), cap: .seconds(3_600)), logger: Logger
    ) {
        reader = store.mirror
        outcomes = Outcomes(mirror: store.writer, hubspot: hubspot, catalog: catalog, callClass: .healing)
        schedule = store.schedule
        self.pause = pause
        self.lookEvery = lookEvery
        self.backoff = backoff
        self.logger = logger
    }

    public func run() async throws {
        await cancelWhenGracefulShutdown {
            while !Task.isCancelled {
                await self.look()
                // Cancelled while asleep: the loop's condition ends it.
                try? await Task.sleep(for: self.lookEvery, clock: .core)
            }
        }
    }

    private func look() async {
        do {
            try await SharedWork(schedule: schedule, name: Healing.work).perform { await self.healAll() }
        } catch {
            logger.debug("The schedule could not be looked at", metadata: ["work": "\(Healing.work)", "error": "\(error)"])
        }
    }

    /// Goes on until nothing is due.
    ///
    /// - Returns: when to look again.
    private func healAll() async -> Duration {
        var healed = 0
        defer { if healed > 0 { logger.info("Records are healed", metadata: ["count": "\(healed)"]) } }
        do {
            while !Task.isCancelled {
                var isIdle = true
                // A batch of each type in turn, so that none waits for the end of another.
                for type in RecordType.allCases {
                    let batch = try await due(of: type)
                    guard !batch.isEmpty else { continue }
                    isIdle = false
                    let (count, wait) = try await heal(batch, of: type)
                    healed += count
                    Counter(label: "records_healed_total", dimensions: [("type", type.rawValue)]).increment(by: count)
                    if let wait { return wait }
                    try await Task.sleep(for: pause, clock: .core)
                }
                if isIdle { return .zero }
            }
        } catch where !Task.isCancelled {
            logger.debug("Records could not be healed", metadata: ["error": "\(error)"])
            return backoff.base
        } catch {
            // Cancelled: the next one goes on.
        }
        return .zero
    }

    // MARK: One batch

    private func due(of type: RecordType) async throws -> [String] {
        let now = Timestamp.now
        let isDelayed = delayed.keys.count { $0.type == type }
        let limit = HubSpotClient.batchMax + isDelayed
        func isDue(_ id: String) -> Bool { delayed[RecordKey(type, id)].map { $0.notBefore <= now } ?? true }
        var batch = try await reader.oldest(.pending, of: type, limit: limit).filter(isDue)
        if batch.count < HubSpotClient.batchMax {
            for id in try await reader.oldest(.error, of: type, limit: limit) {
                let key = RecordKey(type, id)
                // Whoever noted the failure has tried often enough for now.
                if delayed[key] == nil { delay(key, attempts: 0) } else if isDue(id), !batch.contains(id) { batch.append(id) }
            }
        }
        return Array(batch.prefix(HubSpotClient.batchMax))
    }

    /// - Returns: how many were healed, and how long to wait when HubSpot or MongoDB could not be asked.
    private func heal(_ ids: [String], of type: RecordType) async throws -> (healed: Int, wait: Duration?) {
        // As if asked for long ago: what is not to be seen now is gone, not late.
        let askedAt = Timestamp.now - Outcomes.visibleAfter
        let results = await outcomes.reach(ids.map { RecordQueue.Task(key: RecordKey(type, $0), at: askedAt) })
        var wait: Duration?
        for (key, result) in results {
            switch result {
            case .broken(let message):
                logger.debug("A record could not be healed", metadata: ["record": "\(key)", "error": "\(message)"])
                await outcomes.giveUp(key, message)
            case .again(let least): wait = max(wait ?? .zero, least ?? .zero, lookEvery)
            case .reached, .left, .stale: break
            }
        }
        try Task.checkCancellation()
        guard wait == nil else { return (0, wait) }
        let unhealed = Set(try await reader.unhealed(among: ids, of: type))
        for id in ids {
            let key = RecordKey(type, id)
            if unhealed.contains(id) { delay(key, attempts: (delayed[key]?.attempts ?? 0) + 1) } else { delayed[key] = nil }
        }
        return (ids.count - unhealed.count, nil)
    }

    private func delay(_ key: RecordKey, attempts: Int) {
        if delayed.count >= Healing.delayedMax, delayed[key] == nil {
            for (key, _) in delayed.sorted(by: { $0.value.notBefore < $1.value.notBefore }).prefix(Healing.delayedMax / 10) { delayed[key] = nil }
        }
        delayed[key] = (attempts, .now + backoff.ceiling(failures: max(1, attempts)))
    }
}
