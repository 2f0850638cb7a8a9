import Bytes
import HubSpot
import Model
import Rules
import Store

/// The records of one type on both sides.
struct Comparison: Sendable {
    let type: RecordType
    /// Names of all properties.
    let properties: [String]
    let catalog: PropertyCatalog
    let reader: MirrorReader
    let writer: MirrorWriter
    let hubspot: HubSpotClient
    let callClass: CallClass

    struct Result: Sendable {
        /// Of each record that differs.
        var drifts: [String: [Drift]] = [:]
        /// Records that HubSpot could not read, and why.
        var unreadable: [String: String] = [:]
        var messages: [String] = []
        fileprivate var documents: [String: BSONDocument] = [:]
        fileprivate var truths: [String: RecordDifference.Truth] = [:]

        /// Whether a record is known to have changed after `instant`, on either side. Changes of associations have no date anywhere.
        func changed(since instant: Timestamp) -> (String) -> Bool {
            { id in
                let record = truths[id]?.record
                let theirs = [record?.updatedAt, record?.archivedAt].compactMap { $0?.milliseconds }
                var ours = [documents[id]?["archivedAt"]?.milliseconds]
                // That HubSpot has nothing is dated by nothing but the last time that it had something.
                if record == nil { ours.append(documents[id]?["lastSyncedAt"]?.milliseconds) }
                // A time of the mirror's that is still to come is wrong, not late.
                let now = Timestamp.now.milliseconds
                return (theirs + ours.compactMap(\.self).filter { $0 <= now }).contains { $0 > instant.milliseconds }
            }
        }
    }

    // MARK: Comparing

    /// - Parameter ids: each once; those of one call for associations at most.
    /// - Throws: never for a single record.
    func compare(_ ids: [String]) async throws -> Result {
        var result = Result()
        guard !ids.isEmpty else { return result }
        let live = try await hubspot.read(type, ids: ids, properties: properties, archived: false, as: callClass)
        let wanted = Set(ids)
        for record in live.records where wanted.contains(record.id) { result.truths[record.id] = .live(record) }
        for failure in live.failures { if let id = failure.id { result.unreadable[id] = failure.message } }
        let others = live.missing.filter { result.unreadable[$0] == nil }
        if !others.isEmpty {
            let bin = try await hubspot.read(type, ids: others, properties: properties, archived: true, as: callClass)
            for record in bin.records where result.truths[record.id] == nil && wanted.contains(record.id) {
                result.truths[record.id] = .archived(record)
            }
            for failure in bin.failures { if let id = failure.id { result.unreadable[id] = failure.message } }
        }
        let associations = try await associations(of: ids.filter { if case .live? = result.truths[$0] { true } else { false } }, &result)
        result.documents = try await reader.documents(of: ids, type)
        // Erased or merged away: the mirror lacks them on purpose.
        let absent = ids.filter { result.documents[$0] == nil }
        let buried = absent.isEmpty ? [] : try await writer.buried(absent, of: type)
        for id in ids where result.unreadable[id] == nil && !buried.contains(id) {
            let drifts = RecordDifference.find(
                RecordKey(type, id), result.documents[id], result.truths[id] ?? .none, associations[id] ?? [:])
            if !drifts.isEmpty { result.drifts[id] = drifts }
        }
        for (id, message) in result.unreadable.sorted(by: { $0.key < $1.key }) { result.messages.append("\(type.rawValue) \(id): \(message)") }
        return result
    }

    /// By record, then by the other type. What cannot be read, for the other type's scope say, is told and not compared.
    private func associations(of ids: [String], _ result: inout Result) async throws -> [String: [RecordType: [String]]] {
        var all: [String: [RecordType: [String]]] = [:]
        guard !ids.isEmpty else { return all }
        for other in RecordType.allCases {
            do throws(HubSpotError) {
                for (id, others) in try await hubspot.associations(from: type, to: other, ids: ids, as: callClass) {
                    all[id, default: [:]][other] = others
                }
            } catch {
                guard case .missingScopes = error.kind else { throw error }
                result.messages.append("\(type.rawValue): associations with \(other.rawValue) cannot be compared: \(error.message)")
            }
        }
        return all
    }

    // MARK: Choosing

    /// Ids of some of HubSpot's live records, from random places of its list.
    func sampleOfHubSpot(_ count: Int, places: Int) async throws -> Set<String> {
        func end(ascending: Bool) async throws -> (id: Int64?, total: Int) {
            let page = try await hubspot.search(type, SearchQuery(sortedBy: "hs_object_id", isAscending: ascending, limit: 1), as: callClass)
            return (page.records.first.flatMap { Int64($0.id) }, page.total)
        }
        let (first, total) = try await end(ascending: true)
        guard let low = first, let high = try await end(ascending: false).id, low <= high else { return [] }
        var ids: Set<String> = []
        if total <= count {
            var after: String?
            repeat {
                let page = try await page(after: after)
                ids.formUnion(page.ids)
                after = page.after
            } while after != nil
            return ids
        }
        let share = min(SearchQuery.limitMax, max(1, (count + places - 1) / places))
        // Places can overlap, and the last one may be near the end of the list.
        for _ in 0..<(2 * (count / share + 1)) where ids.count < count {
            try Task.checkCancellation()
            let page = try await hubspot.search(
                type,
                SearchQuery(
                    groups: [[.init("hs_object_id", .greaterOrEqual, String(Int64.random(in: low...high)))]], sortedBy: "hs_object_id",
                    limit: min(share, count - ids.count)), as: callClass)
            ids.formUnion(page.records.map(\.id))
        }
        return ids
    }

    /// The ids of HubSpot's live records, a page of the list.
    func page(after: String?) async throws -> (ids: [String], after: String?) {
        try Task.checkCancellation()
        let page = try await hubspot.page(
            of: type, after: after, limit: HubSpotClient.pageMax, properties: [], archived: false, as: callClass)
        return (page.records.map(\.id), page.after)
    }

    // MARK: Repairing

    /// Writes what HubSpot has of these records, whatever the mirror claims to know.
    ///
    /// - Returns: why some of them could not be written.
    func repair(_ ids: [String], _ seen: Result) async throws -> [String: String] {
        let startedAt = Timestamp.now
        try await writer.distrust(
            ids.compactMap { id in
                guard let document = seen.documents[id], seen.drifts[id]?.contains(where: { $0.kind != .associations }) ?? false else { return nil }
                var isLive = false
                if case .live? = seen.truths[id] { isLive = true }
                return MirrorWriter.Distrusted(id: id, document: document, updatedAt: seen.truths[id]?.record?.updatedAt, isLive: isLive)
            }, of: type, at: startedAt - .milliseconds(1))
        let outcomes = Outcomes(mirror: writer, hubspot: hubspot, catalog: catalog, callClass: callClass)
        // As if asked for long ago: what is not to be seen now is gone, not late.
        let askedAt = startedAt - Outcomes.visibleAfter
        var messages: [String: String] = [:]
        for start in stride(from: 0, to: ids.count, by: HubSpotClient.batchMax) {
            let batch = ids[start..<min(start + HubSpotClient.batchMax, ids.count)]
            for (key, result) in await outcomes.reach(batch.map { RecordQueue.Task(key: RecordKey(type, $0), at: askedAt) }) {
                switch result {
                case .broken(let message): messages[key.id] = message
                case .again: messages[key.id] = "could not be asked for; try again"
                case .reached, .left, .stale: break
                }
            }
        }
        let related = ids.filter { seen.drifts[$0]?.contains { [.associations, .missingInMirror].contains($0.kind) } ?? false }
        for other in RecordType.allCases {
            do {
                for id in try await Associations(mirror: writer, hubspot: hubspot).refresh(related, of: type, to: [other], as: callClass).failed {
                    messages[id] = "HubSpot could not read its associations"
                }
            } catch let error as HubSpotError {
                // These are not compared either.
                guard case .missingScopes = error.kind else { throw error }
            }
        }
        return messages
    }
}
