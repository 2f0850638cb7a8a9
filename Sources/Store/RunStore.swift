import Bytes
public import Model
import Mongo

/// The runs of syncs, one document each, leased to the instance that carries them out: `owner` and `heartbeatAt` are the lease. Whoever
/// stays silent loses the run to another instance, which goes on where the document says that it stands.
public struct RunStore: Sendable {
    static let collection = "runs"
    static let indexes = [
        // The server deletes what is older than 30 days.
        IndexSpec(collection, "byStart", keys: ["startedAt": -1], options: ["expireAfterSeconds": .int32(30 * 24 * 60 * 60)]),
        // One run of a kind at a time, whoever starts it.
        IndexSpec(
            collection, "oneOfAKind", keys: ["kind": 1], options: ["unique": true, "partialFilterExpression": ["kind": ["$exists": true]]]),
        // Those that go on, which have no end yet, and the last one of each scope.
        IndexSpec(collection, "byScope", keys: ["scope": 1, "finishedAt": -1]),
    ]
    private static let scopes = [SyncScope.all(), .incremental, .reconcile].map(\.name) + RecordType.allCases.map(\.rawValue)
    private static let running = BSONValue.string(Run.State.running.rawValue)

    let database: MongoDatabase

    // MARK: Carrying out

    /// Adds a run for `owner` to carry out.
    ///
    /// - Returns: the run of the same kind that is going on already, to be joined instead; nil when this one was added.
    public func begin(_ run: Run, owner: String) async throws -> Run? {
        let fields = [("owner", BSONValue.string(owner)), ("kind", .string(run.scope.kindName))]
        let document = BSONDocument(run.document.elements.map { ($0.name, $0.value) } + fields)
        return try await database.run { client in
            while true {
                let outcome = try client.insert([document.bytes], into: RunStore.collection)
                guard let error = outcome.failures.first?.error else { return nil }
                guard error.kind == .duplicateKey else { throw error }
                let same = MongoQuery(["kind": .string(run.scope.kindName)])
                if let other = try client.findOne(same, in: RunStore.collection).flatMap({ Run(document: $0) }) {
                    // Its own, if an answer of MongoDB was lost on its way.
                    return other.id == run.id ? nil : other
                }
                // It has ended since.
            }
        }
    }

    public enum Saved: Sendable, Equatable {
        case saved
        /// Saved, and somebody wants the run to stop.
        case cancelRequested
        /// The run is another instance's, or has ended: this one is to let go of it.
        case lost
    }

    /// Notes how far the run is, or that it has ended, and renews the owner's lease.
    public func save(_ run: Run, owner: String) async throws -> Saved {
        let fields = run.document.elements.filter { !$0.isNamed("_id") }.map { ($0.name, $0.value) }
        var update: [(String, BSONValue)] = [("$set", .document(BSONDocument(fields)))]
        if run.isFinished { update.append(("$unset", ["kind": ""])) }
        let operators = BSONDocument(update)
        return try await database.run { client in
            do {
                // One that MongoDB was not there for at its start is added late.
                let document = try client.findOneAndUpdate(
                    ["_id": .string(run.id), "owner": .string(owner), "state": RunStore.running], update: operators,
                    projection: ["cancelRequested": 1], upsert: true, in: RunStore.collection)
                return document?["cancelRequested"]?.bool == true ? .cancelRequested : .saved
            } catch let error as MongoError where error.kind == .duplicateKey {
                let query = MongoQuery(["_id": .string(run.id), "owner": .string(owner), "state": .string(run.state.rawValue)])
                // Its end was noted, and the answer lost.
                return try run.isFinished && client.findOne(query, in: RunStore.collection) != nil ? .saved : .lost
            }
        }
    }

    /// Leaves a run that is not finished to whoever takes it up.
    public func release(_ run: Run, owner: String) async throws {
        guard try await save(run, owner: owner) != .lost else { return }
        _ = try await database.run { client in
            try client.updateOne(
                ["_id": .string(run.id), "owner": .string(owner), "state": RunStore.running],
                update: ["$set": ["owner": "", "heartbeatAt": .date(0)]], in: RunStore.collection)
        }
    }

    /// Takes up one run that nobody carries out: its instance gave it back, or is silent since `instant`.
    ///
    /// - Parameter current: the runs that the owner does carry out.
    public func takeOver(owner: String, but current: [String], silentSince instant: Timestamp, at now: Timestamp) async throws -> Run? {
        try await database.run { client in
            try client.findOneAndUpdate(
                [
                    "state": RunStore.running, "_id": ["$nin": .strings(current)], "heartbeatAt": ["$lt": .date(instant.milliseconds)],
                ],
                update: ["$set": ["owner": .string(owner), "heartbeatAt": .date(now.milliseconds)], "$inc": ["resumptions": .int64(1)]],
                in: RunStore.collection)
        }.flatMap { Run(document: $0) }
    }

    /// Asks whoever carries the run out to stop it. Its kind is free at once.
    public func requestCancel(_ id: String) async throws {
        _ = try await database.run { client in
            try client.updateOne(
                ["_id": .string(id), "state": RunStore.running], update: ["$set": ["cancelRequested": true], "$unset": ["kind": ""]],
                in: RunStore.collection)
        }
    }

    // MARK: Looking

    public func load(_ id: String) async throws -> Run? {
        try await database.run { try $0.findOne(MongoQuery(["_id": .string(id)]), in: RunStore.collection) }.flatMap { Run(document: $0) }
    }

    /// The runs that go on, on whichever instance, and of each scope the one that ended last.
    public func current() async throws -> (running: [Run], ended: [Run]) {
        try await database.run { client in
            var running: [Run] = []
            var ended: [Run] = []
            let open = MongoQuery(["scope": .anyOf(RunStore.scopes), "finishedAt": nil])
            try client.find(open, in: RunStore.collection) { document in
                if let run = Run(document: document) { running.append(run) }
            }
            for scope in RunStore.scopes {
                let last = MongoQuery(["scope": .string(scope), "finishedAt": ["$gt": .date(0)]], sort: ["finishedAt": -1])
                if let run = try client.findOne(last, in: RunStore.collection).flatMap({ Run(document: $0) }) { ended.append(run) }
            }
            return (running, ended)
        }
    }

    /// At most `limit` runs, the one started last first.
    public func latest(limit: Int) async throws -> [Run] {
        try await database.run { client in
            var runs: [Run] = []
            try client.find(MongoQuery(sort: ["startedAt": -1], limit: limit), in: RunStore.collection) { document in
                if let run = Run(document: document) { runs.append(run) }
            }
            return runs
        }
    }
}

extension SyncScope {
    /// Names what must not run twice at a time.
    fileprivate var kindName: String { limit.map { "\(name)?limit=\($0)" } ?? name }
}
