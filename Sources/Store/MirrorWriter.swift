internal import Bytes
public import Model
internal import Mongo

/// The only place that writes records. An older state never overwrites a newer one, whoever else writes at the same time.
public struct MirrorWriter: Sendable {
    /// Records of one round of calls: what bounds a bulk.
    public static let batchMax = 1000
    /// Characters of a `syncError`.
    static let errorMax = 1000
    /// How far behind an answer of HubSpot's may be. A restored record has a new `updatedAt`; one that has not is believed to be live
    /// again only when it was read this long after its deletion.
    static let readLagMax: Duration = .seconds(60)

    private let database: MongoDatabase
    private let watch: MirrorWatch

    init(database: MongoDatabase, watch: MirrorWatch) {
        self.database = database
        self.watch = watch
    }

    /// All that writes goes through here: whatever became of it, what was read before may have changed.
    func writing<R: Sendable>(_ body: @Sendable @escaping (borrowing MongoClient) throws -> R) async throws -> R {
        defer { watch.changed() }
        return try await database.run(body)
    }

    /// Makes the mirror equal the records, as far as it has no newer state of them.
    ///
    /// Cost per batch of 1,000: one read of versions, then only the calls that are needed: an insert of what is new, a guarded update of
    /// what changed, one touch of what did not. Repeating it is harmless.
    ///
    /// - Parameters:
    ///   - records: of an id that comes twice the newest is written, of equal ones the last.
    ///   - now: when HubSpot was asked for them.
    /// - Throws: `MongoError` when MongoDB could not be asked or did not confirm; part may have been written then. One record's failure is
    ///   in the outcome, and on the record if the mirror has it.
    @discardableResult
    public func write(_ records: [Record], of type: RecordType, at now: Timestamp) async throws -> WriteOutcome {
        var outcome = WriteOutcome()
        let records = MirrorWriter.newest(of: records, type)
        for start in stride(from: 0, to: records.count, by: MirrorWriter.batchMax) {
            let batch = Array(records[start..<min(start + MirrorWriter.batchMax, records.count)])
            outcome += try await writing { try MirrorWriter.write(batch, of: type, at: now, by: $0) }
        }
        return outcome
    }

    /// Notes on a record that its last attempt failed. A record that the mirror does not have stays unknown.
    public func recordFailure(_ type: RecordType, _ id: String, message: String) async throws {
        try await writing { client in
            try MirrorWriter.recordFailures([.init(id: id, message: message)], of: type, by: client)
        }
    }

    /// Turns the records that were last known to equal HubSpot before `instant` from `synced` to `pending`. Archived ones stay: there is
    /// nothing left to read.
    ///
    /// - Returns: how many were turned.
    @discardableResult
    public func markStale(olderThan instant: Timestamp) async throws -> Int {
        var turned = 0
        for type in RecordType.allCases {
            // By batches, so that no call outlives its time limit however many there are.
            while true {
                let found = try await writing { try MirrorWriter.markStaleBatch(type, olderThan: instant, by: $0) }
                turned += found.turned
                if found.isLast { break }
            }
        }
        return turned
    }

    // MARK: Leaving the mirror

    /// Erases a record for good: its document, its id in the associations that it knew of, and whatever a stale page may bring of it
    /// later.
    public func erase(_ key: RecordKey, at now: Timestamp) async throws {
        try await bury([Tombstone(key: key, reason: .erased, at: now)], type: key.type)
    }

    /// Those of `ids` that were erased or merged away. What somebody wrote of one who was stopped before looking again goes.
    public func buried(_ ids: [String], of type: RecordType) async throws -> Set<String> {
        try await writing { try MirrorWriter.removeBuried(ids, of: type, by: $0).ids }
    }

    /// - Returns: which of `ids` are buried, and how many of them the mirror had.
    private static func removeBuried(
        _ ids: [String], of type: RecordType, by client: borrowing MongoClient
    ) throws -> (ids: Set<String>, removed: Int) {
        let buried = try Tombstones.buried(ids, of: type, by: client)
        guard !buried.isEmpty else { return ([], 0) }
        let filter: BSONDocument = ["_id": .anyOf(buried.sorted())]
        try dissociate(filter, of: type, by: client)
        return (buried, try client.deleteMany(filter, in: type.rawValue))
    }

    /// Removes records that were merged into another, and keeps stale pages from bringing them back.
    ///
    /// The survivor's `mergedIds` gain them if the mirror has it already.
    public func absorb(_ ids: [String], into survivor: RecordKey, at now: Timestamp) async throws {
        let ids = ids.filter { $0 != survivor.id }
        guard !ids.isEmpty else { return }
        try await bury(
            ids.map { Tombstone(key: RecordKey(survivor.type, $0), reason: .merged(into: survivor.id), at: now) }, type: survivor.type)
        _ = try await writing { client in
            try client.updateMany(
                ["_id": .string(survivor.id)], update: ["$addToSet": ["mergedIds": ["$each": .strings(ids)]]], in: survivor.type.rawValue)
        }
    }

    private static func absorbAll(
        _ survivors: [Record], of type: RecordType, at now: Timestamp, by client: borrowing MongoClient
    ) throws {
        var tombstones: [Tombstone] = []
        for survivor in survivors {
            for id in survivor.mergedIds { tombstones.append(Tombstone(key: RecordKey(type, id), reason: .merged(into: survivor.id), at: now)) }
        }
        if !tombstones.isEmpty { try bury(tombstones, type: type, by: client) }
    }

    private func bury(_ tombstones: [Tombstone], type: RecordType) async throws {
        try await writing { try MirrorWriter.bury(tombstones, type: type, by: $0) }
    }

    private static func bury(_ tombstones: [Tombstone], type: RecordType, by client: borrowing MongoClient) throws {
        try Tombstones.set(tombstones, by: client)
        let filter: BSONDocument = ["_id": .anyOf(tombstones.map(\.key.id))]
        try dissociate(filter, of: type, by: client)
        _ = try client.deleteMany(filter, in: type.rawValue)
    }

    /// Marks records as deleted that HubSpot knows neither as live nor in its recycle bin.
    ///
    /// - Parameter now: when HubSpot was asked; a state that was read since then stays as it is, in the same millisecond too.
    public func archiveGone(_ ids: [String], of type: RecordType, at now: Timestamp) async throws {
        guard !ids.isEmpty else { return }
        _ = try await writing { client in
            try client.updateMany(
                ["_id": .anyOf(ids), "archived": false, "lastSyncedAt": ["$lt": .date(now.milliseconds)]],
                update: [
                    "$set": [
                        "archived": true, "archivedAt": .date(now.milliseconds), "lastSyncedAt": .date(now.milliseconds),
                        "syncStatus": .string(SyncStatus.synced.rawValue), "syncError": nil,
                    ]
                ], in: type.rawValue)
        }
    }

    /// Removes records that HubSpot knows neither as live nor in its recycle bin: they were deleted for good.
    ///
    /// No tombstone: should HubSpot have answered wrongly, the next sync brings them back.
    ///
    /// - Parameter now: when HubSpot was asked; a state that was read since then stays as it is, in the same millisecond too.
    public func removeGone(_ ids: [String], of type: RecordType, at now: Timestamp) async throws {
        guard !ids.isEmpty else { return }
        _ = try await writing { client in
            let filter: BSONDocument = ["_id": .anyOf(ids), "lastSyncedAt": ["$lt": .date(now.milliseconds)]]
            try MirrorWriter.dissociate(filter, of: type, by: client)
            try client.deleteMany(filter, in: type.rawValue)
        }
    }

    // MARK: One batch

    private static func newest(of records: [Record], _ type: RecordType) -> [Record] {
        // By index: a record that is taken out of its array is a copy, which costs more than the look.
        precondition(records.indices.allSatisfy { records[$0].type == type }, "a batch is of one type")
        // As in a page of the list, but for one in which the ids become longer.
        if records.indices.dropFirst().allSatisfy({ records[$0 - 1].id < records[$0].id }) { return records }
        var positions: [String: Int] = [:]
        var newest: [Record] = []
        for record in records {
            if let position = positions[record.id] {
                if newest[position].updatedAt <= record.updatedAt { newest[position] = record }
            } else {
                positions[record.id] = newest.count
                newest.append(record)
            }
        }
        return newest
    }

    private struct Version {
        var updatedAt: Int64?
        var archivedAt: Int64?
        var lastSyncedAt: Int64?
        var archived = false
        var contentHash: Int64?
        /// nil unless asked for.
        var associations: BSONDocument?

        /// The record's document as long as it is in this state: every write of another one changes one of these.
        func filter(_ id: String) -> BSONDocument {
            BSONDocument([
                ("_id", .string(id)), ("hubspotUpdatedAt", updatedAt.map(BSONValue.date) ?? .null),
                ("lastSyncedAt", lastSyncedAt.map(BSONValue.date) ?? .null), ("archived", .bool(archived)),
            ])
        }

        /// Whether the stored state is the record's.
        func equals(_ record: Record) -> Bool {
            updatedAt == record.updatedAt.milliseconds && archived == record.archived && contentHash == MirrorDocument.contentHash(of: record)
        }

        /// Whether the stored state is of the record's version and was read later, so that it stays. A reading that shows live what another
        /// shows deleted was behind, unless it is much later.
        func isLater(than record: Record, at now: Timestamp) -> Bool {
            let lag = record.archived && !archived ? MirrorWriter.readLagMax.milliseconds : 0
            return updatedAt == record.updatedAt.milliseconds && lastSyncedAt ?? 0 > now.milliseconds + lag
        }

        /// Whether the stored state is newer than the record as it was read at `now`.
        func isNewer(than record: Record, at now: Timestamp) -> Bool {
            if let updatedAt, updatedAt > record.updatedAt.milliseconds { return true }
            // Deleting a record need not touch its `updatedAt`: a page that shows the state before the deletion looks as new.
            guard archived, !record.archived, (archivedAt ?? .max) >= record.updatedAt.milliseconds else { return false }
            return lastSyncedAt ?? 0 > now.milliseconds
                || archivedAt ?? 0 > now.milliseconds - MirrorWriter.readLagMax.milliseconds
        }
    }

    private static func versions(
        of records: [Record], in collection: String, by client: borrowing MongoClient
    ) throws -> [String: Version] {
        var versions = [String: Version](minimumCapacity: records.count)
        var fields = ["hubspotUpdatedAt", "archived", "archivedAt", "lastSyncedAt", "contentHash"]
        if records.contains(where: { !$0.associations.isEmpty }) { fields.append("associations") }
        let query = MongoQuery(
            ["_id": .anyOf(records.map(\.id))], projection: BSONDocument(fields.map { ($0, 1) }), batchSize: records.count + 1)
        try client.find(query, in: collection) { document in
            var id: String?
            var version = Version()
            for element in document.elements {
                if element.isNamed("_id") {
                    id = element.string
                } else if element.isNamed("hubspotUpdatedAt") {
                    version.updatedAt = element.milliseconds
                } else if element.isNamed("archived") {
                    version.archived = element.bool ?? false
                } else if element.isNamed("archivedAt") {
                    version.archivedAt = element.milliseconds
                } else if element.isNamed("lastSyncedAt") {
                    version.lastSyncedAt = element.milliseconds
                } else if element.isNamed("contentHash") {
                    version.contentHash = element.integer
                } else if element.isNamed("associations") {
                    version.associations = element.value.document
                }
            }
            if let id { versions[id] = version }
        }
        return versions
    }

    private static func write(
        _ records: [Record], of type: RecordType, at now: Timestamp, by client: borrowing MongoClient
    ) throws -> WriteOutcome {
        let collection = type.rawValue
        var outcome = WriteOutcome()
        var new: [Record] = [], changed: [Record] = [], unchanged: [String] = []
        let stored = try versions(of: records, in: collection, by: client)
        // Also of records that are there: a writer that was stopped right after its insert may have left one that was erased meanwhile.
        let buried = try removeBuried(records.map(\.id), of: type, by: client).ids
        outcome.outdated += buried.count
        var associations: [MongoWrite] = [], reassociated: [Record] = []
        for index in records.indices where !buried.contains(records[index].id) {
            guard let version = stored[records[index].id] else {
                new.append(records[index])
                continue
            }
            let changes = MirrorDocument.associations(records[index], stored: version.associations, at: now)
            associations += changes
            if !changes.isEmpty { reassociated.append(records[index]) }
            if version.isNewer(than: records[index], at: now) {
                outcome.outdated += 1
            } else if version.equals(records[index]) {
                unchanged.append(records[index].id)
                if !changes.isEmpty { outcome.unchanged -= 1 }
            } else if version.isLater(than: records[index], at: now) {
                outcome.outdated += 1
            } else {
                changed.append(records[index])
            }
        }

        // Who was merged into one of them is no longer live, whoever brings the news. Before the survivors are written: what is cut
        // off in between is seen again as long as these are new.
        try absorbAll(new + changed, of: type, at: now, by: client)
        var overtaken: Set<String> = []
        if !new.isEmpty {
            let inserted = try client.insert(new.map { MirrorDocument.inserted($0, at: now) }, into: collection)
            outcome.created = inserted.inserted
            // One that was erased between the question and the insert: its tombstone was there before its document was looked for.
            let removed = try removeBuried(new.map(\.id), of: type, by: client).removed
            outcome.created -= removed
            outcome.outdated += removed
            for failure in inserted.failures {
                let record = new[failure.index]
                if failure.error.kind == .duplicateKey {
                    // Somebody else inserted it since we asked.
                    changed.append(record)
                    overtaken.insert(record.id)
                } else {
                    outcome.failures.append(.init(id: record.id, message: "\(failure.error)"))
                }
            }
        }
        if !changed.isEmpty {
            try update(changed, stored: stored, overtaken: overtaken, in: collection, at: now, by: client, into: &outcome)
        }
        if !unchanged.isEmpty {
            // Those among them that were pending or failed are known to equal HubSpot again.
            try client.updateMany(
                ["_id": .anyOf(unchanged)],
                update: [
                    "$max": ["lastSyncedAt": .date(now.milliseconds)],
                    "$set": ["syncStatus": .string(SyncStatus.synced.rawValue), "syncError": nil],
                ], in: collection)
            outcome.unchanged += unchanged.count
            outcome.updated += unchanged.count
        }
        if !associations.isEmpty {
            try client.carryOut(associations, in: collection)
            for other in RecordType.allCases {
                var added: [String: Set<String>] = [:]
                for record in reassociated {
                    let known = stored[record.id]?.associations?[other.rawValue]?.array?.compactMap(\.string) ?? []
                    added[record.id] = Set(record.associations[other] ?? []).subtracting(known)
                }
                try dropLeft(added, of: type, to: other, readAt: now, by: client)
            }
        }
        if !outcome.failures.isEmpty { try recordFailures(outcome.failures, of: type, by: client) }
        return outcome
    }

    /// Updates what is still as it was when the versions were read: that costs MongoDB a fifth less than comparing states itself, which it
    /// does for all should any have changed meanwhile.
    ///
    /// - Parameter overtaken: ids that somebody else inserted since the versions were read.
    private static func update(
        _ records: [Record], stored: [String: Version], overtaken: Set<String>, in collection: String, at now: Timestamp,
        by client: borrowing MongoClient, into outcome: inout WriteOutcome
    ) throws {
        let updates = records.map { MirrorDocument.update($0, at: now) }
        var done = try client.bulk(
            zip(records, updates).map { record, update in
                .updateUnretried(stored[record.id]?.filter(record.id) ?? MirrorDocument.guarded(record, at: now), update: update)
            }, in: collection)
        if done.matched + done.failures.count < records.count {
            // Those that were written are written again: they are no newer than themselves.
            done = try client.bulk(
                zip(records, updates).map { .updateUnretried(MirrorDocument.guarded($0, at: now), update: $1) }, in: collection)
        }
        outcome.updated += done.matched
        outcome.failures += done.failures.map { .init(id: records[$0.index].id, message: "\($0.error)") }
        var unmatched = records.count - done.matched - done.failures.count
        if unmatched > 0, !overtaken.isEmpty {
            // The insert met a key that no document of this `_id` holds: one that is not ours has the same `hubspotId`.
            let suspects = records.filter { overtaken.contains($0.id) }
            let present = try versions(of: suspects, in: collection, by: client)
            for record in suspects where present[record.id] == nil {
                unmatched -= 1
                outcome.failures.append(
                    .init(id: record.id, message: "another document of the collection holds this hubspotId under another _id"))
            }
        }
        outcome.outdated += unmatched
    }

    private static func recordFailures(
        _ failures: [WriteOutcome.Failure], of type: RecordType, by client: borrowing MongoClient
    ) throws {
        let writes = failures.map { failure in
            MongoWrite.updateOne(
                ["_id": .string(failure.id)],
                update: [
                    "$set": [
                        "syncStatus": .string(SyncStatus.error.rawValue), "syncError": .string(String(failure.message.prefix(errorMax))),
                    ]
                ])
        }
        _ = try client.bulk(writes, in: type.rawValue)
    }

    private static func markStaleBatch(
        _ type: RecordType, olderThan instant: Timestamp, by client: borrowing MongoClient
    ) throws -> (turned: Int, isLast: Bool) {
        let stale: [(String, BSONValue)] = [
            ("archived", false), ("syncStatus", .string(SyncStatus.synced.rawValue)),
            ("lastSyncedAt", ["$lt": .date(instant.milliseconds)]),
        ]
        var ids: [BSONValue] = []
        let query = MongoQuery(
            BSONDocument(stale), projection: ["_id": 1], limit: batchMax, batchSize: batchMax, hint: MirrorIndex.byStatus)
        try client.find(query, in: type.rawValue) { document in
            if let id = document["_id"] { ids.append(id) }
        }
        guard !ids.isEmpty else { return (0, true) }
        // Asked again: one of them may have been refreshed since.
        let turned = try client.updateMany(
            BSONDocument([("_id", ["$in": .array(ids)])] + stale),
            update: ["$set": ["syncStatus": .string(SyncStatus.pending.rawValue)]], in: type.rawValue)
        return (turned, ids.count < batchMax)
    }
}
