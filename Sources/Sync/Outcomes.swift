import HubSpot
import Model
import Mongo
import Rules
import Store

/// Brings the mirror's state of records to HubSpot's: reads what may have changed and finds out what became of the rest.
struct Outcomes: Sendable {
    let mirror: MirrorWriter
    let hubspot: HubSpotClient
    let catalog: PropertyCatalog
    let callClass: CallClass

    enum Result: Sendable, Equatable {
        /// The mirror holds what HubSpot holds, at least as new as the event.
        case reached
        /// The same, and the record is no longer live: deleted, merged away or erased.
        case left
        /// HubSpot's answer was older than the event that asked for it.
        case stale
        /// HubSpot or MongoDB could not be asked; not before this time from now.
        case again(Duration?)
        /// This record fails by itself.
        case broken(String)
    }

    /// - Parameter tasks: of one type, at most a batch read's worth.
    func reach(_ tasks: [RecordQueue.Task]) async -> [RecordKey: Result] {
        guard let type = tasks.first?.key.type else { return [:] }
        do {
            return try await settle(tasks, type)
        } catch let error as HubSpotError where error.kind == .rejected && tasks.count > 1 {
            // One id that HubSpot chokes on must not take the others with it.
            let half = tasks.count / 2
            return await reach(Array(tasks[..<half])).merging(await reach(Array(tasks[half...]))) { $1 }
        } catch {
            return Dictionary(uniqueKeysWithValues: tasks.map { ($0.key, Outcomes.result(of: error)) })
        }
    }

    /// Finds out what became of records that are not where they should be. What seems gone is looked for twice: of a record that is deleted
    /// this very moment HubSpot may show neither the live nor the archived state.
    ///
    /// - Parameters:
    ///   - callsMax: batches at once.
    ///   - report: told of each batch.
    func lookUp(
        _ ids: [String], of type: RecordType, callsMax: Int = 1, report: @escaping @Sendable ([RecordKey: Result]) async -> Void
    ) async throws {
        let late = try await ask(ids, type, at: .now, callsMax, report)
        guard !late.isEmpty else { return }
        try await Task.sleep(for: Outcomes.secondLookAfter, clock: .core)
        // As if asked for long ago: what is not to be seen now is gone, not late.
        _ = try await ask(late, type, at: .now - Outcomes.visibleAfter, callsMax, report)
    }

    static let secondLookAfter: Duration = .seconds(2)

    /// - Returns: those that may not be to be seen yet, which are not reported.
    private func ask(
        _ ids: [String], _ type: RecordType, at askedAt: Timestamp, _ callsMax: Int,
        _ report: @escaping @Sendable ([RecordKey: Result]) async -> Void
    ) async throws -> [String] {
        try await withThrowingTaskGroup(of: [String].self) { group in
            var late: [String] = []
            for (index, start) in stride(from: 0, to: ids.count, by: HubSpotClient.batchMax).enumerated() {
                if index >= callsMax, let more = try await group.next() { late += more }
                try Task.checkCancellation()
                let tasks = ids[start..<min(start + HubSpotClient.batchMax, ids.count)].map {
                    RecordQueue.Task(key: RecordKey(type, $0), at: askedAt)
                }
                group.addTask {
                    let results = await reach(tasks)
                    await report(results.filter { $0.value != .stale })
                    return results.filter { $0.value == .stale }.map(\.key.id)
                }
            }
            for try await more in group { late += more }
            return late.sorted()
        }
    }

    /// `reach` for whoever wants to know why HubSpot or MongoDB could not be asked.
    ///
    /// - Throws: `HubSpotError`, `MongoError`; one record's failure is in its result.
    func settle(_ tasks: [RecordQueue.Task], _ type: RecordType) async throws -> [RecordKey: Result] {
        var results: [RecordKey: Result] = [:]
        let erasures = tasks.filter(\.wish.isErasure)
        for task in erasures {
            // What was merged into it is the same person's.
            for id in [task.key.id] + task.wish.mergedIds.sorted() { try await mirror.erase(RecordKey(type, id), at: .now) }
            results[task.key] = .left
        }
        let reads = tasks.filter { !$0.wish.isErasure }
        if !reads.isEmpty { results.merge(try await refresh(reads, type)) { $1 } }
        return results
    }

    /// Notes on the record that it was given up.
    func giveUp(_ key: RecordKey, _ message: String) async {
        // Only the note is lost when MongoDB is away: the delivery keeps the record among its failed ones.
        try? await mirror.recordFailure(key.type, key.id, message: message)
    }

    private static func result(of error: any Error) -> Result {
        switch error {
        case let error as HubSpotError where error.kind == .unauthorized: .again(.seconds(30))
        case let error as HubSpotError where error.isTemporary || error.kind == .cancelled: .again(error.retryAfter)
        case let error as HubSpotError: .broken(error.message)
        case let error as MongoError where error.kind == .rejected: .broken(error.message)
        default: .again(nil)
        }
    }

    // MARK: Reading

    private func refresh(_ tasks: [RecordQueue.Task], _ type: RecordType) async throws -> [RecordKey: Result] {
        let properties = try await catalog.names(of: type, as: callClass)
        let ids = tasks.map(\.key.id)
        let liveAt = Timestamp.now
        var readAt = liveAt
        let live = try await hubspot.read(type, ids: ids, properties: properties, archived: false, as: callClass)
        var broken = try await write(live.records, of: type, readAt: readAt)
        for failure in live.failures { if let id = failure.id { broken[id] = failure.message } }
        var found: [String: Record] = [:]
        for record in live.records { found[record.id] = record }

        // What is missing was merged away, deleted, erased or is not yet to be seen.
        var told: [String: String] = [:]
        for task in tasks { for id in task.wish.mergedIds { told[id] = task.key.id } }
        let missing = live.missing.filter { broken[$0] == nil }
        var survivors = try await survivors(of: missing, told, among: live.records, isAsked: Set(ids), type)
        let deleted = live.missing.filter { survivors[$0] == nil && broken[$0] == nil }
        var bin: [String: Record] = [:]
        var gone: Set<String> = []
        if !deleted.isEmpty {
            readAt = .now
            let archived = try await hubspot.read(type, ids: deleted, properties: properties, archived: true, as: callClass)
            let records = archived.records.filter { deleted.contains($0.id) }
            broken.merge(try await write(records, of: type, readAt: readAt)) { $1 }
            for failure in archived.failures { if let id = failure.id { broken[id] = failure.message } }
            for record in records {
                bin[record.id] = record
                // A survivor that was deleted after the merge.
                for id in record.mergedIds where deleted.contains(id) { survivors[id] = record.id }
            }
            gone = Set(deleted.filter { bin[$0] == nil && survivors[$0] == nil && broken[$0] == nil })
            // Of those it is known why.
            if !gone.isEmpty { gone.subtract(try await mirror.buried(gone.sorted(), of: type)) }
        }

        var results: [RecordKey: Result] = [:]
        var surelyGone: [String] = []
        for task in tasks {
            let id = task.key.id
            let state: Timestamp? = found[id]?.updatedAt ?? bin[id].map { max($0.updatedAt, $0.archivedAt ?? $0.updatedAt) }
            if let message = broken[id] {
                results[task.key] = .broken(message)
            } else if let state {
                let isStale = task.wish.changedAt.map { state < $0 && liveAt - $0 < Outcomes.currentAfter } ?? false
                results[task.key] = isStale ? .stale : found[id] == nil ? .left : .reached
            } else if gone.contains(id), task.staleReads < Pool.staleAttemptsMax,
                Timestamp.now - (task.wish.changedAt ?? task.queuedAt) < Outcomes.visibleAfter
            {
                // Perhaps so new, or restored so lately, that this part of HubSpot does not know it yet.
                results[task.key] = .stale
            } else {
                if gone.contains(id) { surelyGone.append(id) }
                results[task.key] = .left
            }
        }
        // A record that was restored between the two readings is in neither: what anybody read since the first one stays.
        if type == .contacts {
            // Only contacts can be deleted for privacy, and this is how it looks when the event was lost.
            try await mirror.removeGone(surelyGone, of: type, at: liveAt)
        } else {
            try await mirror.archiveGone(surelyGone, of: type, at: liveAt)
        }
        try await mirror.dissociateArchived(bin.keys + surelyGone, of: type)
        for (id, survivor) in survivors { try await mirror.absorb([id], into: RecordKey(type, survivor), at: readAt) }
        for task in tasks where !task.wish.mergedIds.isEmpty {
            // Whatever this read shows: a merge is never undone, and its survivor may have gone since.
            let ids = task.wish.mergedIds.filter { survivors[$0] == nil }
            try await mirror.absorb(ids.sorted(), into: RecordKey(type, survivors[task.key.id] ?? task.key.id), at: readAt)
        }
        for key in try await refreshAssociations(of: tasks.filter { found[$0.key.id] != nil }, type) {
            results[key] = .broken("HubSpot could not read the record's associations")
        }
        return results
    }

    /// A read that begins so long after a change shows it. HubSpot's batch reads are current by its own words; should the record's date
    /// still be before the event's, then those are of two clocks.
    static let currentAfter: Duration = .seconds(3)

    /// How long after its change a record may stay invisible.
    static let visibleAfter: Duration = .seconds(60)

    private func write(_ records: [Record], of type: RecordType, readAt: Timestamp) async throws -> [String: String] {
        guard !records.isEmpty else { return [:] }
        let outcome = try await mirror.write(records, of: type, at: readAt)
        return Dictionary(outcome.failures.map { ($0.id, $0.message) }, uniquingKeysWith: { $1 })
    }

    /// The record that each missing id was merged into.
    ///
    /// A batch read answers a merged-away id with the survivor under the survivor's id. Which is whose says the event (`told`), or
    /// the survivor's `mergedIds`; where neither does, a single read of the id tells.
    private func survivors(
        of missing: [String], _ told: [String: String], among records: [Record], isAsked: Set<String>, _ type: RecordType
    ) async throws -> [String: String] {
        var known = told
        for record in records { for id in record.mergedIds { known[id] = record.id } }
        let wanted = Set(missing)
        var survivors = known.filter { wanted.contains($0.key) }
        let explained = Set(survivors.values)
        guard survivors.count < missing.count, records.contains(where: { !isAsked.contains($0.id) && !explained.contains($0.id) }) else {
            return survivors
        }
        for id in missing where survivors[id] == nil {
            if let record = try await hubspot.record(type, id: id, properties: [], archived: false, as: callClass), record.id != id {
                survivors[id] = record.id
            }
        }
        return survivors
    }

    /// - Returns: the records whose associations HubSpot failed to read.
    private func refreshAssociations(of tasks: [RecordQueue.Task], _ type: RecordType) async throws -> [RecordKey] {
        let associations = Associations(mirror: mirror, hubspot: hubspot)
        var failed: [RecordKey] = []
        for other in RecordType.allCases {
            let asked = tasks.filter { $0.wish.associations.contains(other) }
            do {
                for isMutual in [false, true] {
                    let ids = asked.filter { $0.wish.isMutual == isMutual }.map(\.key.id)
                    let result = try await associations.refresh(ids, of: type, to: [other], isMutual: isMutual, as: callClass)
                    failed += result.failed.map { RecordKey(type, $0) }
                }
            } catch let error as HubSpotError {
                // The records themselves are right: a token without the other type's scope mirrors what it may read.
                guard case .missingScopes = error.kind else { throw error }
            }
        }
        return failed
    }
}
