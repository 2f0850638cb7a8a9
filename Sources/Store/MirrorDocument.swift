internal import Bytes
internal import Model

/// The layout of a mirror document (contract, section 4).
enum MirrorDocument {
    /// A document that the mirror does not have yet.
    static func inserted(_ record: Record, at now: Timestamp) -> [UInt8] {
        var writer = BSONWriter(capacity: record.fields.count + record.properties.count + 512)
        writer.append("_id", record.id)
        append(contentOf: record, to: &writer)
        writer.document("associations") { associations in
            for name in ["companies", "contacts", "deals"] { associations.append(name, array: [String]()) }
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
        var conditions: [(String, BSONValue)] = [
            ("_id", .string(record.id)),
            (
                "$or",
                [
                    ["hubspotUpdatedAt": ["$not": ["$gte": version]]],
                    ["hubspotUpdatedAt": version, "lastSyncedAt": ["$not": ["$gt": .date(now.milliseconds)]]],
                ]
            ),
        ]
        if !record.archived {
            // As `Version.isNewer` says: what was read before a deletion does not undo it.
            conditions.append(
                ("$and", [["$or": [["archived": ["$ne": true]], wasReadLater, ["archivedAt": ["$lt": version]]]]]))
        }
        return BSONDocument(conditions)
    }

    /// Of everything that HubSpot sent except the version.
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
