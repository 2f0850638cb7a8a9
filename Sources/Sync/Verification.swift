public import HubSpot
public import Logging
public import Model
import Mongo
public import Rules
public import ServiceLifecycle
public import Store

/// Compares mirror and HubSpot record by record, when asked and at its interval. Writes nothing unless it is to repair.
///
/// What differs is read again a little later, and what changed just now is not called drift.
public actor Verification: Service {
    /// Records of each type that the schedule looks at: some ten calls.
    public static let sampleDefault = 100
    public static let sampleMax = 100_000
    private static let work = "verify"
    private static let lookEvery: Duration = .seconds(30)
    private static let jitter = 0.1
    /// Records that are held in memory at once, twice.
    private static let chunkMax = 500
    /// Places in HubSpot's list that a sample is drawn from, at least.
    private static let placesMin = 10

    private let reader: MirrorReader
    private let writer: MirrorWriter
    private let store: VerifyStore
    private let schedule: ScheduleStore
    private let hubspot: HubSpotClient
    private let catalog: PropertyCatalog
    private let every: Duration?
    private let settleTime: Duration
    private let inFlightFor: Duration
    private let logger: Logger
    /// Records that the comparison under way has looked at; nil when none is.
    public private(set) var checkedSoFar: Int?
    /// The last one of any instance, as far as this one knows.
    public private(set) var last: VerifyReport?

    /// - Parameters:
    ///   - every: nil never by itself.
    ///   - settleTime: how long after the first look a difference is looked at again.
    ///   - inFlightFor: how long a change of a record may take to arrive; searches and HubSpot's replicas may be behind by that.
    public init(
        store: Store, hubspot: HubSpotClient, catalog: PropertyCatalog, every: Duration?, settleTime: Duration = .seconds(5),
        inFlightFor: Duration = .seconds(60), logger: Logger
    ) {
        reader = store.mirror
        writer = store.writer
        self.store = store.verifications
        schedule = store.schedule
        self.hubspot = hubspot
        self.catalog = catalog
        self.every = every
        self.settleTime = settleTime
        self.inFlightFor = inFlightFor
        self.logger = logger
    }

    // MARK: Schedule

    public func run() async throws {
        await cancelWhenGracefulShutdown {
            while !Task.isCancelled {
                await self.look()
                // Cancelled while asleep: the loop's condition ends it.
                try? await Task.sleep(for: min(Verification.lookEvery, (self.every ?? Verification.lookEvery) / 4), clock: .core)
            }
        }
    }

    private func look() async {
        do {
            try await refreshLast()
            guard let every else { return }
            let now = Timestamp.now
            let next = now + every * (1 + Double.random(in: 0...Verification.jitter))
            guard try await schedule.takeTurn(Verification.work, at: now, nextAt: next, latest: now + every * (1 + Verification.jitter)) else { return }
            _ = try await verify(sample: Verification.sampleDefault, as: .healing)
        } catch where !Task.isCancelled {
            logger.debug("Mirror and HubSpot could not be compared", metadata: ["error": "\(error)"])
        } catch {
            // Stopping.
        }
    }

    /// Takes over what another instance has found since.
    public func refreshLast() async throws {
        guard let stored = try await store.load(), stored.finishedAt > last?.finishedAt ?? stored.startedAt - .seconds(1) else { return }
        last = stored
    }

    // MARK: Comparing

    /// Another comparison runs in this instance.
    public struct BusyError: Error, Sendable {}

    /// - Parameters:
    ///   - sample: random records of each type from the mirror, and as many from HubSpot's list; nil for all.
    ///   - repair: makes what differs equal, by the way that every sync writes.
    /// - Throws: `BusyError`; `HubSpotError` or `MongoError` when it cannot go on; `CancellationError`.
    public func verify(
        _ types: [RecordType] = RecordType.allCases, sample: Int? = Verification.sampleDefault, repair: Bool = false,
        as callClass: CallClass = .incremental
    ) async throws -> VerifyReport {
        guard checkedSoFar == nil else { throw BusyError() }
        checkedSoFar = 0
        defer { checkedSoFar = nil }
        var report = VerifyReport(startedAt: .now, sample: sample, repair: repair)
        do {
            for type in types { try await verify(type, sample, repair, callClass, &report) }
        } catch {
            // A call that was cancelled says so in HubSpot's terms.
            try Task.checkCancellation()
            throw error
        }
        report.finishedAt = .now
        last = report
        let sum = report.sum
        logger.log(
            level: sum.different > sum.repaired ? .warning : .info, "Mirror and HubSpot are compared",
            metadata: [
                "checked": "\(sum.checked)", "different": "\(sum.different)", "inFlight": "\(sum.inFlight)", "repaired": "\(sum.repaired)",
                "kinds": "\(sum.kinds.sorted { $0.key < $1.key }.map { "\($0.key.rawValue) \($0.value)" }.joined(separator: ", "))",
            ])
        do {
            try await store.save(report)
        } catch {
            logger.warning("The result of a comparison could not be saved", metadata: ["error": "\(error)"])
        }
        return report
    }

    private func verify(
        _ type: RecordType, _ sample: Int?, _ repair: Bool, _ callClass: CallClass, _ report: inout VerifyReport
    ) async throws {
        // The catalog writes what it reads, which a look must not.
        let names =
            repair
            ? try await catalog.names(of: type, isFresh: true, as: callClass)
            : try await hubspot.definitions(.properties(type), as: callClass).map(\.id)
        let comparison = Comparison(
            type: type, properties: names, catalog: catalog, reader: reader, writer: writer, hubspot: hubspot, callClass: callClass)
        var suspects: [String] = []
        var counts = VerifyReport.Counts()
        if let sample {
            let theirs = try await comparison.sampleOfHubSpot(sample, places: Verification.placesMin)
            let ids = try await reader.sample(of: type, count: sample).union(theirs)
            try await look(ids.sorted(), comparison, &suspects, &counts, &report)
        } else {
            var after = ""
            while true {
                let ids = try await reader.ids(of: type, after: after, limit: Verification.chunkMax)
                guard let end = ids.last else { break }
                try await look(ids, comparison, &suspects, &counts, &report)
                after = end
            }
            // What the mirror has is compared; what is left is what it lacks.
            var cursor: String?
            repeat {
                let page = try await comparison.page(after: cursor)
                let known = try await reader.known(page.ids, of: type)
                try await look(page.ids.filter { !known.contains($0) }, comparison, &suspects, &counts, &report)
                cursor = page.after
            } while cursor != nil
        }
        if !suspects.isEmpty { try await Task.sleep(for: settleTime, clock: .core) }
        for start in stride(from: 0, to: suspects.count, by: Verification.chunkMax) {
            try Task.checkCancellation()
            let chunk = Array(suspects[start..<min(start + Verification.chunkMax, suspects.count)])
            try await judge(chunk, comparison, repair, &counts, &report)
        }
        report.byType[type] = counts
    }

    /// Looks at records for the first time.
    private func look(
        _ ids: [String], _ comparison: Comparison, _ suspects: inout [String], _ counts: inout VerifyReport.Counts,
        _ report: inout VerifyReport
    ) async throws {
        for start in stride(from: 0, to: ids.count, by: Verification.chunkMax) {
            try Task.checkCancellation()
            let chunk = Array(ids[start..<min(start + Verification.chunkMax, ids.count)])
            let result = try await comparison.compare(chunk)
            counts.checked += chunk.count - result.unreadable.count
            counts.unreadable += result.unreadable.count
            checkedSoFar = (checkedSoFar ?? 0) + chunk.count
            for message in result.messages { report.note(message) }
            suspects += chunk.filter { result.drifts[$0] != nil }
        }
    }

    /// Looks again at records that differed, tells what is drift, and repairs it if that is wanted.
    private func judge(
        _ ids: [String], _ comparison: Comparison, _ repair: Bool, _ counts: inout VerifyReport.Counts, _ report: inout VerifyReport
    ) async throws {
        let result = try await comparison.compare(ids)
        for message in result.messages { report.note(message) }
        let isRecent = result.changed(since: .now - inFlightFor)
        var drifting: [String] = []
        for id in ids {
            guard let drifts = result.drifts[id] else { continue }
            if isRecent(id) {
                counts.inFlight += 1
                continue
            }
            drifting.append(id)
            counts.different += 1
            for drift in drifts {
                counts.kinds[drift.kind, default: 0] += 1
                if report.differences.count < VerifyReport.differencesMax { report.differences.append(drift) }
            }
        }
        guard repair, !drifting.isEmpty else { return }
        let messages = try await comparison.repair(drifting, result)
        let left = try await comparison.compare(drifting)
        for id in drifting {
            if left.drifts[id] == nil, left.unreadable[id] == nil {
                counts.repaired += 1
            } else {
                report.note("\(comparison.type.rawValue) \(id): \(messages[id] ?? "could not be made equal; try again in a minute")")
            }
        }
    }
}
