internal import Bytes
internal import Model
internal import Mongo

/// The layout of a mirror document (contract, section 4).
enum MirrorDocument {
    /// A document that the mirror does not have yet.
    static func inserted(_ record: Record, at now: Timestamp) -> [UInt8] {
        var writer = BSONWriter(capacity: record.fields.count + record.properties.count + 512)
        writer.append("_id", record.id)
        append(contentOf: record, to: &writer)
        writer.document("associations") { associations in
            for type in RecordType.allCases.sorted() {
                associations.append(type.rawValue, array: record.associations[type] ?? [])
            }
        }
        if !record.associations.isEmpty {
            writer.document("associatedAt") { dates in
                for other in record.associations.keys.sorted() { dates.append(other.rawValue, date: now.milliseconds) }
            }
        }
        writer.append("mergedIds", array: record.mergedIds)
        writer.append("lastSyncedAt", date: now.milliseconds)
        return writer.finish()
    }

    /// The update that makes an existing document equal the record. It leaves what it does not name (`associations`) alone.
    static func update(_ record: Record, at now: Timestamp) -> BSONDocument {
        var writer = BSONWriter(capacity: record.fields.count + record.properties.count + 512)
        writer.document("$set") { append(contentOf: record, to: &$0) }
        writer.document("$max") { $0.append("lastSyncedAt", date: now.milliseconds) }
        if !record.mergedIds.isEmpty {
            // A merge cannot be undone: ids are only ever added, whoever learned of them first.
            writer.document("$addToSet") { $0.document("mergedIds") { $0.append("$each", array: record.mergedIds) } }
        }
        return BSONDocument(bytes: writer.finish())
    }

    /// The record's document as long as its state is not newer than the record's.
    ///
    /// Of two states with one `updatedAt` (calculated properties change without it) the one read later wins.
    static func guarded(_ record: Record, at now: Timestamp) -> BSONDocument {
        let version = BSONValue.date(record.updatedAt.milliseconds)
        let lagBefore = BSONValue.date(now.milliseconds - MirrorWriter.readLagMax.milliseconds)
        let wasReadLater: BSONValue = [
            "lastSyncedAt": ["$not": ["$gt": .date(now.milliseconds)]], "archivedAt": ["$not": ["$gt": lagBefore]],
        ]
        var older: [BSONValue] = [
            ["hubspotUpdatedAt": ["$not": ["$gte": version]]],
            ["hubspotUpdatedAt": version, "lastSyncedAt": ["$not": ["$gt": .date(now.milliseconds)]]],
        ]
        var conditions: [(String, BSONValue)] = [("_id", .string(record.id))]
        // As `Version` says: what was read before a deletion does not undo it, and what still showed it live does not hinder it.
        if record.archived {
            let lagAfter = BSONValue.date(now.milliseconds + MirrorWriter.readLagMax.milliseconds)
            older.append(["hubspotUpdatedAt": version, "archived": false, "lastSyncedAt": ["$not": ["$gt": lagAfter]]])
        } else {
            conditions.append(
                ("$and", [["$or": [["archived": ["$ne": true]], wasReadLater, ["archivedAt": ["$lt": version]]]]]))
        }
        conditions.append(("$or", .array(older)))
        return BSONDocument(conditions)
    }

    /// The writes that make the stored associations equal those that came with the record at `now`; none where they do already.
    static func associations(_ record: Record, stored: BSONDocument?, at now: Timestamp) -> [MongoWrite] {
        record.associations.compactMap { other, ids in
            let known = stored?.elements.first(named: other.rawValue)?.document.elements
            if let known, known.elementsEqual(ids, by: { $0.stringBytes.elementsEqual($1.utf8) }) { return nil }
            return associate(record.id, to: other, ids, readAt: now)
        }
    }

    /// What was read later stays.
    static func associate(_ id: String, to other: RecordType, _ ids: [String], readAt: Timestamp) -> MongoWrite {
        let date = BSONValue.date(readAt.milliseconds)
        let changes: BSONDocument = BSONDocument([("associations.\(other.rawValue)", .strings(ids)), (associatedAt(other), date)])
        let wasReadBefore: BSONValue = ["$not": ["$gt": date]]
        return .updateUnretried(
            BSONDocument([("_id", .string(id)), (associatedAt(other), wasReadBefore)]), update: ["$set": .document(changes)])
    }

    /// Takes a record out of the associations of others.
    ///
    /// - Parameter readAt: those that were read later stay.
    static func dissociate(_ others: [String], from id: String, of type: RecordType, readAt: Timestamp? = nil) -> MongoWrite {
        var filter: [(String, BSONValue)] = [("_id", .anyOf(others))]
        if let readAt { filter.append((associatedAt(type), ["$not": ["$gt": .date(readAt.milliseconds)]])) }
        return .updateMany(
            BSONDocument(filter), update: ["$pull": .document(BSONDocument([("associations.\(type.rawValue)", .string(id))]))])
    }

    /// When the associations to a type were read: they have no date of HubSpot's.
    static func associatedAt(_ other: RecordType) -> String { "associatedAt.\(other.rawValue)" }

    /// Of everything that HubSpot sent except the version and the associations.
    static func contentHash(of record: Record) -> Int64 {
        var fingerprint = Fingerprint()
        fingerprint.add(record.fields)
        fingerprint.add(record.properties)
        fingerprint.add(String(record.createdAt.milliseconds))
        fingerprint.add(record.archivedAt.map { String($0.milliseconds) } ?? "")
        for id in record.mergedIds { fingerprint.add(id) }
        return fingerprint.value
    }

    private static func append(contentOf record: Record, to writer: inout BSONWriter) {
        writer.append("hubspotId", record.id)
        writer.append(elementsOf: record.fields)
        writer.append("properties", document: record.properties)
        writer.append("archived", record.archived)
        writer.append("archivedAt", date: record.archivedAt?.milliseconds)
        writer.append("hubspotCreatedAt", date: record.createdAt.milliseconds)
        writer.append("hubspotUpdatedAt", date: record.updatedAt.milliseconds)
        writer.append("syncStatus", SyncStatus.synced.rawValue)
        writer.appendNull("syncError")
        writer.append("contentHash", contentHash(of: record))
    }
}
