internal import Bytes
public import Model
internal import Mongo

/// Each association stands in two documents, at both ends.
extension MirrorWriter {
    /// Ids of one query.
    private static let endsMax = 10_000

    /// Sets the associations of records to one type, except where some were set that were read later; records that the mirror does not
    /// have are passed over. Those that are no longer there go at their other ends too.
    ///
    /// - Parameter confirms: notes of equal ones too when they were read, so that no older reading that is still on its way can
    ///   replace them. Walks over everything leave that, as it is a write for every record: an event that follows mends it.
    /// - Returns: the records whose associations were others before.
    @discardableResult
    public func setAssociations(
        _ ids: [String: [String]], of type: RecordType, to other: RecordType, readAt: Timestamp, confirms: Bool = true
    ) async throws -> [String] {
        guard !ids.isEmpty else { return [] }
        let field = "associations.\(other.rawValue)"
        return try await writing { client in
            var changed: [String] = []
            let sorted = ids.keys.sorted()
            for start in stride(from: 0, to: sorted.count, by: MirrorWriter.batchMax) {
                let batch = Array(sorted[start..<min(start + MirrorWriter.batchMax, sorted.count)])
                var writes: [MongoWrite] = [], ends: [MongoWrite] = [], added: [String: Set<String>] = [:]
                // Looking first is cheap, and most are equal already.
                let query = MongoQuery(
                    ["_id": .anyOf(batch)],
                    projection: BSONDocument([(field, 1), (MirrorDocument.associatedAt(other), 1)]), batchSize: batch.count + 1)
                try client.find(query, in: type.rawValue) { document in
                    guard let id = document["_id"]?.string, let wanted = ids[id] else { return }
                    let knownAt = document["associatedAt"]?.document?[other.rawValue]?.milliseconds
                    guard knownAt ?? .min <= readAt.milliseconds else { return }
                    let known = document["associations"]?.document?[other.rawValue]?.array?.compactMap(\.string) ?? []
                    if confirms || known != wanted { writes.append(MirrorDocument.associate(id, to: other, wanted, readAt: readAt)) }
                    guard known != wanted else { return }
                    changed.append(id)
                    let lost = Set(known).subtracting(wanted)
                    if !lost.isEmpty { ends.append(MirrorDocument.dissociate(lost.sorted(), from: id, of: type, readAt: readAt)) }
                    added[id] = Set(wanted).subtracting(known)
                }
                // First the other ends: as long as these are not written, the next reading finds both.
                try client.carryOut(ends, in: other.rawValue)
                try client.carryOut(writes, in: type.rawValue)
                try MirrorWriter.dropLeft(added, of: type, to: other, readAt: readAt, by: client)
            }
            return changed
        }
    }

    /// Takes those of the records that are archived out of the associations of whom they know of. HubSpot shows them there no longer, and
    /// promises no event of it.
    public func dissociateArchived(_ ids: [String], of type: RecordType) async throws {
        guard !ids.isEmpty else { return }
        try await writing { try MirrorWriter.dissociate(["_id": .anyOf(ids), "archived": true], of: type, by: $0) }
    }

    static func dissociate(_ filter: BSONDocument, of type: RecordType, by client: borrowing MongoClient) throws {
        var ends: [RecordType: [MongoWrite]] = [:]
        try client.find(MongoQuery(filter, projection: ["associations": 1]), in: type.rawValue) { document in
            guard let id = document["_id"]?.string, let associations = document["associations"]?.document else { return }
            for other in RecordType.allCases {
                guard let ids = associations[other.rawValue]?.array, !ids.isEmpty else { continue }
                ends[other, default: []].append(MirrorDocument.dissociate(ids.compactMap(\.string), from: id, of: type))
            }
        }
        for (other, writes) in ends { try client.carryOut(writes, in: other.rawValue) }
    }

    /// Takes back what was just associated with records that have left since: they were there when HubSpot was asked, and looked for
    /// their other ends before these were written.
    ///
    /// - Parameter added: the new ends of each record.
    static func dropLeft(
        _ added: [String: Set<String>], of type: RecordType, to other: RecordType, readAt: Timestamp, by client: borrowing MongoClient
    ) throws {
        var holders: [String: [String]] = [:]
        for (id, ends) in added { for end in ends { holders[end, default: []].append(id) } }
        let all = holders.keys.sorted()
        for start in stride(from: 0, to: all.count, by: MirrorWriter.endsMax) {
            let ends = Array(all[start..<min(start + MirrorWriter.endsMax, all.count)])
            var left = try Tombstones.buried(ends, of: other, by: client)
            // One that the mirror has known to be deleted for longer was restored.
            let query = MongoQuery(
                ["_id": .anyOf(ends), "archived": true, "lastSyncedAt": ["$gte": .date(readAt.milliseconds)]], projection: ["_id": 1])
            try client.find(query, in: other.rawValue) { if let id = $0["_id"]?.string { left.insert(id) } }
            try client.carryOut(
                left.sorted().map { MirrorDocument.dissociate(holders[$0] ?? [], from: $0, of: other, readAt: readAt) }, in: type.rawValue)
        }
    }
}
