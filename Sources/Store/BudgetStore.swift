import Bytes
public import Model
import Mongo
public import Rules

/// The ledger by which instances share HubSpot's limits: one small document, changed only by whoever has seen its last version.
public struct BudgetStore: Sendable {
    static let collection = "budget"
    private static let key: BSONValue = "hubspot"
    /// More than the driver needs to find a primary; a look that takes longer is too late to be of use.
    private static let maxTime: Duration = .seconds(3)

    let database: MongoDatabase

    /// The ledger as a majority holds it.
    public struct Look: Sendable {
        public let ledger: BudgetLedger
        /// The server's clock when it read it.
        public let storeNow: Timestamp
        /// 0 when nothing was ever written.
        fileprivate let version: Int64
    }

    public func load() async throws -> Look {
        try await database.run { client in
            var look: Look?
            let query = MongoQuery(maxTime: BudgetStore.maxTime)
            try client.aggregate(
                [["$match": ["_id": BudgetStore.key]], ["$set": ["now": "$$NOW"]]], in: BudgetStore.collection, like: query
            ) { document in
                let version = document["version"]?.integer ?? 0
                let now = Timestamp.ofServer(Timestamp(milliseconds: document["now"]?.milliseconds ?? 0))
                look = Look(ledger: BudgetLedger(document: document), storeNow: now, version: version)
            }
            if let look { return look }
            let now = try client.command(["hello": 1])["localTime"]?.milliseconds ?? 0
            return Look(ledger: BudgetLedger(), storeNow: .ofServer(Timestamp(milliseconds: now)), version: 0)
        }
    }

    /// Writes the ledger in place of the one of `look`.
    ///
    /// - Returns: false when another instance was faster, and nothing is changed.
    /// - Throws: `MongoError`; the outcome can be unknown then, but a ledger that is not there by the time of the next successful write
    ///   will never be.
    public func save(_ ledger: BudgetLedger, after look: Look) async throws -> Bool {
        let fields = [("version", BSONValue.int64(look.version + 1))] + ledger.fields
        return try await database.run { client in
            if look.version > 0 {
                // Never an upsert: a document that was removed meanwhile is looked for again.
                return try client.updateOne(
                    ["_id": BudgetStore.key, "version": .int64(look.version)], update: ["$set": .document(BSONDocument(fields))],
                    in: BudgetStore.collection)
            }
            let first = BSONDocument([("_id", BudgetStore.key)] + fields)
            let outcome = try client.insert([first.bytes], into: BudgetStore.collection)
            guard let failure = outcome.failures.first else { return true }
            guard failure.error.kind == .duplicateKey else { throw failure.error }
            return false
        }
    }
}

extension BudgetLedger {
    fileprivate var fields: [(String, BSONValue)] {
        let members = members.sorted { $0.key < $1.key }.map { id, member -> BSONValue in
            var fields: [(String, BSONValue)] = [("id", .string(id)), ("until", .date(member.until.milliseconds))]
            for lane in BudgetLane.allCases {
                guard let claim = member.claims[lane] else { continue }
                fields.append(
                    (
                        lane.rawValue,
                        [
                            "calls": .int64(Int64(claim.calls)), "urgent": .int64(Int64(claim.urgent)),
                            "wanted": .int64(Int64(claim.wanted)),
                        ]
                    ))
            }
            return .document(BSONDocument(fields))
        }
        let limits = BudgetLane.allCases.compactMap { lane in
            self.limits[lane].map { (lane.rawValue, BSONValue.string($0.description)) }
        }
        let pauses = BudgetLane.allCases.compactMap { lane in
            self.pauses[lane].map { pause -> (String, BSONValue) in
                (lane.rawValue, ["until": .date(pause.until.milliseconds), "reason": .string(pause.reason.rawValue)])
            }
        }
        return [
            ("members", .array(members)), ("limits", .document(BSONDocument(limits))), ("pauses", .document(BSONDocument(pauses))),
        ]
    }

    /// What cannot be read is left out.
    fileprivate init(document: BSONDocument) {
        self.init()
        for value in document["members"]?.array ?? [] {
            guard let member = value.document, let id = member["id"]?.string, let until = member["until"]?.milliseconds else { continue }
            var claims: [BudgetLane: Claim] = [:]
            for lane in BudgetLane.allCases {
                guard let claim = member[lane.rawValue]?.document else { continue }
                func count(_ name: String) -> Int { Int(max(0, min(claim[name]?.integer ?? 0, 1_000_000))) }
                claims[lane] = Claim(calls: count("calls"), urgent: count("urgent"), wanted: count("wanted"))
            }
            members[id] = Member(until: Timestamp(milliseconds: until), claims: claims)
        }
        for lane in BudgetLane.allCases {
            limits[lane] = document["limits"]?.document?[lane.rawValue]?.string.flatMap { RateLimit($0) }
            if let pause = document["pauses"]?.document?[lane.rawValue]?.document, let until = pause["until"]?.milliseconds,
                let reason = pause["reason"]?.string.flatMap(RateBudget.PauseReason.init)
            {
                pauses[lane] = Pause(until: Timestamp(milliseconds: until), reason: reason)
            }
        }
    }
}
