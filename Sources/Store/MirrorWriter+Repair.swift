public import Bytes
public import Model
import Mongo

extension MirrorWriter {
    /// A document that is known to be wrong.
    public struct Distrusted: Sendable {
        public let id: String
        /// As it was when it was compared.
        public let document: BSONDocument
        /// HubSpot's version, if HubSpot has the record.
        public let updatedAt: Timestamp?
        public let isLive: Bool

        public init(id: String, document: BSONDocument, updatedAt: Timestamp?, isLive: Bool) {
            self.id = id
            self.document = document
            self.updatedAt = updatedAt
            self.isLive = isLive
        }
    }

    /// Takes from documents what makes `write` believe them: a fingerprint that hides what somebody else changed, and times that claim
    /// more than HubSpot has. They are `pending` until they are written. One that changed since it was compared stays as it is.
    ///
    /// - Parameter now: before HubSpot is asked for what is to be written.
    public func distrust(_ documents: [Distrusted], of type: RecordType, at now: Timestamp) async throws {
        let writes = documents.map { distrusted in
            let seen = distrusted.document
            let filter: BSONDocument = [
                "_id": .string(distrusted.id), "hubspotUpdatedAt": seen["hubspotUpdatedAt"] ?? nil, "lastSyncedAt": seen["lastSyncedAt"] ?? nil,
            ]
            var set: [(String, BSONValue)] = [("syncStatus", .string(SyncStatus.pending.rawValue)), ("contentHash", nil)]
            var least: [(String, BSONValue)] = [("lastSyncedAt", .date(now.milliseconds))]
            if let updatedAt = distrusted.updatedAt {
                if (seen["hubspotUpdatedAt"]?.milliseconds).map({ $0 > updatedAt.milliseconds }) ?? true {
                    set.append(("hubspotUpdatedAt", .date(updatedAt.milliseconds)))
                }
                if distrusted.isLive, seen["archivedAt"]?.milliseconds != nil {
                    least.append(("archivedAt", .date(now.milliseconds - MirrorWriter.readLagMax.milliseconds - 1)))
                }
            }
            return MongoWrite.updateOne(
                filter, update: ["$set": .document(BSONDocument(set)), "$min": .document(BSONDocument(least))])
        }
        guard !writes.isEmpty else { return }
        _ = try await writing { try $0.carryOut(writes, in: type.rawValue) }
    }
}
