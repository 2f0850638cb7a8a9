import Bytes
import Model
import Mongo
import TestSupport
import Testing

@testable import Store

@Suite(.scratchDatabase, .timeLimit(.minutes(3))) struct InboxTests {
    /// Of these years, so that the server's own clean-up leaves them.
    private static let start = Timestamp(milliseconds: 4_000_000_000_000)

    private func at(_ seconds: Int) -> Timestamp { InboxTests.start + .seconds(seconds) }

    private func delivery(_ id: String, _ key: RecordKey = RecordKey(.contacts, "1"), second: Int = 0) -> Delivery {
        var event = WebhookEvent(subscriptionType: "\(key.type.singular).propertyChange")
        event.type = key.type
        event.verb = .propertyChange
        event.objectId = key.id
        return Delivery(id: id, receivedAt: at(second), signature: "v3", events: [event])
    }

    private func states(_ inbox: Inbox) async throws -> [String: Delivery.State] {
        Dictionary(uniqueKeysWithValues: try await inbox.deliveries(.init()).map { ($0.id, $0.state) })
    }

    private func claim(_ inbox: Inbox, _ name: String, owner: String, at second: Int, limit: Int = 100) async throws -> [String] {
        try await inbox.claim(name, owner: owner, limit: limit, now: at(second), leaseUntil: at(second + 15)).map(\.id)
    }

    // MARK: One delivery's way

    @Test func whatIsLeasedIsNobodyElsesUntilTheLeaseEnds() async throws {
        let inbox = try await Store.scratch().inbox
        try await inbox.append([delivery("a"), delivery("b", second: 1)], owner: "one", leaseUntil: at(15))
        #expect(try await claim(inbox, "1", owner: "two", at: 14) == [])
        #expect(try await claim(inbox, "2", owner: "two", at: 15) == [], "the end of the lease belongs to it")
        #expect(try await claim(inbox, "3", owner: "two", at: 16) == ["a", "b"])
        #expect(try await claim(inbox, "4", owner: "one", at: 17) == [])
        #expect(try await claim(inbox, "5", owner: "one", at: 32) == ["a", "b"])
    }

    @Test func renewingKeepsOnlyOnesOwn() async throws {
        let inbox = try await Store.scratch().inbox
        try await inbox.append([delivery("a")], owner: "one", leaseUntil: at(15))
        try await inbox.append([delivery("b")], owner: "two", leaseUntil: at(15))
        try await inbox.renew(["a", "b"], owner: "one", leaseUntil: at(100))
        #expect(try await claim(inbox, "1", owner: "three", at: 20) == ["b"])
        #expect(try await claim(inbox, "2", owner: "three", at: 101) == ["a", "b"])
        // "one" lost it: its renewal changes nothing.
        try await inbox.renew(["a", "b"], owner: "one", leaseUntil: at(1000))
        #expect(try await claim(inbox, "3", owner: "four", at: 200) == ["a", "b"])
    }

    @Test func releasingGivesOnesOwnBackAtOnce() async throws {
        let inbox = try await Store.scratch().inbox
        try await inbox.append([delivery("a")], owner: "one", leaseUntil: at(15))
        try await inbox.append([delivery("b")], owner: "two", leaseUntil: at(15))
        try await inbox.release(owner: "one")
        #expect(try await claim(inbox, "1", owner: "three", at: 1) == ["a"])
    }

    @Test func whatIsFinishedIsNotClaimedAndSaysHowItEnded() async throws {
        let inbox = try await Store.scratch().inbox
        try await inbox.append(["a", "b", "c", "d"].map { delivery($0) }, owner: "one", leaseUntil: at(1))
        let broken = [RecordKey(.contacts, "1"), RecordKey(.deals, "2")]
        try await inbox.finish([("a", []), ("b", broken), ("c", [])], at: at(5))
        #expect(try await states(inbox) == ["a": .done, "b": .failed, "c": .done, "d": .pending])
        #expect(try await claim(inbox, "1", owner: "two", at: 100) == ["d"])
        var query = Inbox.Query()
        query.id = "b"
        let failed = try #require(try await inbox.deliveries(query).first)
        #expect(failed.failed == broken)
        #expect(failed.finishedAt == at(5))
        try await inbox.finish([("unknown", [])], at: at(6))
    }

    @Test func oldestFirstAndNoMoreThanAskedFor() async throws {
        let inbox = try await Store.scratch().inbox
        for id in ["c", "a", "d", "b"] { try await inbox.append([delivery(id)], owner: "one", leaseUntil: at(0)) }
        #expect(try await claim(inbox, "1", owner: "two", at: 1, limit: 3) == ["a", "b", "c"])
        #expect(try await claim(inbox, "2", owner: "two", at: 1, limit: 3) == ["d"])
    }

    // MARK: Replay

    @Test func aReplayTakesOneOrASpanWhateverBecameOfThem() async throws {
        let inbox = try await Store.scratch().inbox
        try await inbox.append((0..<6).map { delivery("\($0)", second: $0) }, owner: "one", leaseUntil: at(1000))
        try await inbox.finish([("0", []), ("1", [RecordKey(.contacts, "1")]), ("2", []), ("3", []), ("4", [])], at: at(10))
        var query = Inbox.Query()
        query.id = "0"
        #expect(try await inbox.replay(query) == 1)
        query.id = "unknown"
        #expect(try await inbox.replay(query) == 0)
        query = Inbox.Query()
        query.since = at(1)
        query.until = at(3)
        #expect(try await inbox.replay(query) == 2)
        #expect(try await claim(inbox, "1", owner: "two", at: 20) == ["0", "1", "2"])
        let replayed = try #require(try await inbox.deliveries(.init()).first { $0.id == "1" })
        #expect(replayed.state == .pending && replayed.failed.isEmpty && replayed.finishedAt == nil)
    }

    @Test func whatFailedIsReplayedAlone() async throws {
        let inbox = try await Store.scratch().inbox
        try await inbox.append(["a", "b", "c"].map { delivery($0) }, owner: "one", leaseUntil: at(1000))
        try await inbox.finish([("a", []), ("b", [RecordKey(.contacts, "1")])], at: at(5))
        #expect(try await inbox.replayFailed() == 1)
        #expect(try await states(inbox) == ["a": .done, "b": .pending, "c": .pending])
        #expect(try await inbox.replayFailed() == 0)
    }

    // MARK: Races

    /// Owners race for the same deliveries in several rounds: each delivery goes to exactly one of them, and none is left over.
    @Test func noTwoOwnersGetTheSameDelivery() async throws {
        let inbox = try await Store.scratch().inbox
        for seed in seeds.prefix(30) {
            var random = SeededRandom(state: seed)
            let ids = (0..<Int.random(in: 1...40, using: &random)).map { "\(seed)-\($0)" }
            try await inbox.append(ids.map { delivery($0) }, owner: "gone", leaseUntil: at(0))
            let limit = Int.random(in: 1...20, using: &random)
            let claimed = try await withThrowingTaskGroup(of: [String].self) { group in
                for owner in 0..<6 {
                    group.addTask {
                        var mine: [String] = []
                        for round in 0..<50 {
                            let more = try await claim(
                                inbox, "\(seed)/\(owner)/\(round)", owner: "owner \(owner)", at: 1, limit: limit)
                            if more.isEmpty { break }
                            mine += more
                        }
                        return mine
                    }
                }
                return try await group.reduce(into: []) { $0 += $1 }
            }
            #expect(Set(claimed).count == claimed.count, "seed \(seed): a delivery was given twice")
            // One whose every candidate was taken by others leaves early; what it left is there for the next.
            let rest = try await claim(inbox, "\(seed)/rest", owner: "last", at: 1)
            #expect(Set(claimed + rest) == Set(ids) && claimed.count + rest.count == ids.count, "seed \(seed)")
            try await inbox.finish(ids.map { ($0, []) }, at: at(2))
        }
    }

    // MARK: Reading

    @Test func theLogIsFilteredAndPagedNewestFirst() async throws {
        let inbox = try await Store.scratch().inbox
        let types = RecordType.allCases
        try await inbox.append(
            (0..<9).map { delivery("\($0)", RecordKey(types[$0 % 3], "\($0 / 3)"), second: $0) }, owner: "one", leaseUntil: at(9))
        try await inbox.finish([("0", []), ("8", [RecordKey(types[2], "2")])], at: at(9))
        func ids(_ change: (inout Inbox.Query) -> Void) async throws -> [String] {
            var query = Inbox.Query()
            change(&query)
            return try await inbox.deliveries(query).map(\.id)
        }
        #expect(try await ids { $0.limit = 4 } == ["8", "7", "6", "5"])
        #expect(
            try await ids {
                $0.limit = 2
                $0.before = "5"
            } == ["4", "3"])
        #expect(try await ids { $0.type = types[1] } == ["7", "4", "1"])
        #expect(try await ids { $0.hubspotId = "2" } == ["8", "7", "6"])
        #expect(
            try await ids {
                $0.hubspotId = "2"
                $0.type = types[0]
            } == ["6"])
        #expect(try await ids { $0.state = .failed } == ["8"])
        #expect(
            try await ids {
                $0.state = .pending
                $0.type = types[0]
            } == ["6", "3"])
        #expect(
            try await ids {
                $0.since = at(3)
                $0.until = at(5)
            } == ["4", "3"])
    }

    /// Every field, present or not, comes back as it was.
    @Test func aDeliveryIsReadBackAsItWasWritten() async throws {
        let inbox = try await Store.scratch().inbox
        for seed in seeds {
            var random = SeededRandom(state: seed)
            let delivery = Delivery(
                id: "\(seed)", receivedAt: at(Int(seed)), signature: ["v1", "v2", "v3"].randomElement(using: &random)!,
                events: (0..<Int.random(in: 0...8, using: &random)).map { _ in event(&random) })
            try await inbox.append([delivery], owner: "one", leaseUntil: at(0))
            var query = Inbox.Query()
            query.id = delivery.id
            #expect(try await inbox.deliveries(query) == [delivery], "seed \(seed)")
        }
    }

    /// The largest delivery that is accepted: ten thousand events that say all that an event can.
    @Test func theLargestDeliveryFitsIntoADocument() {
        let text = String(repeating: "a", count: 258)
        let events = (0..<10_000).map { number in
            func id(_ kind: Int) -> String { String(Int64.max - Int64(kind * 10_000 + number)) }
            var event = WebhookEvent(subscriptionType: text)
            (event.type, event.verb, event.propertyName) = (.companies, .associationChange, text)
            (event.objectId, event.primaryId, event.newId) = (id(0), id(1), id(2))
            (event.from, event.to) = (RecordKey(.companies, id(3)), RecordKey(.companies, id(4)))
            event.occurredAt = at(0)
            (event.eventId, event.subscriptionId, event.portalId, event.attemptNumber) = (.max, .max, .max, .max)
            return event
        }
        let delivery = Delivery(id: "a", receivedAt: at(0), signature: "v3", events: events)
        #expect(delivery.document(owner: "one", leaseUntil: at(0)).count < MongoClient.documentBytesMax)
    }

    private func event(_ random: inout SeededRandom) -> WebhookEvent {
        func some<Value>(_ value: Value) -> Value? { Bool.random(using: &random) ? value : nil }
        func number() -> Int64 { Int64(truncatingIfNeeded: random.next()) }
        func id() -> String { String(Int64.random(in: 1...Int64.max, using: &random)) }
        let texts = ["contact.creation", "", "Zoë 東京 🚀", "a.b.c", "null\u{0}byte"]
        var event = WebhookEvent(subscriptionType: texts.randomElement(using: &random)!)
        event.type = RecordType.allCases.randomElement(using: &random).flatMap { some($0) }
        event.verb = WebhookEvent.Verb.allCases.randomElement(using: &random).flatMap { some($0) }
        event.objectId = some(id())
        event.occurredAt = some(Timestamp(milliseconds: Int64.random(in: 0...8_640_000_000_000_000, using: &random)))
        event.eventId = some(number())
        event.subscriptionId = some(number())
        event.portalId = some(number())
        event.attemptNumber = some(number())
        event.propertyName = some(texts.randomElement(using: &random)!)
        event.primaryId = some(id())
        event.mergedIds = (0..<Int.random(in: 0...3, using: &random)).map { _ in id() }
        event.newId = some(id())
        event.from = some(RecordKey(.contacts, id()))
        event.to = some(RecordKey(.deals, id()))
        return event
    }

    // MARK: Indexes

    @Test func deliveriesExpireWhenTheirTimeHasCome() async throws {
        let database = ScratchDatabase.current
        let inbox = Inbox(database: database, retention: .seconds(3600))
        _ = try await database.run { try $0.ensureIndexes(Inbox.indexes) }
        try await inbox.append([delivery("a", second: 7)], owner: "one", leaseUntil: at(0))
        func expireAt() async throws -> BSONValue? {
            try #require(try await database.run { try $0.findOne(MongoQuery(["_id": "a"]), in: Inbox.collection) })["expireAt"]
        }
        // What is not done stays, and what is to be done again.
        #expect(try await expireAt() == nil)
        try await inbox.finish([("a", [])], at: at(10))
        #expect(try await expireAt() == .date(at(3610).milliseconds))
        #expect(try await inbox.replay(Inbox.Query()) == 1)
        #expect(try await expireAt() == nil)
        try await inbox.finish([("a", [RecordKey(.contacts, "1")])], at: at(20))
        #expect(try await expireAt() == .date(at(3620).milliseconds))
        // As another version may have left it.
        _ = try await database.run { try $0.updateMany(["_id": "a"], update: ["$set": ["state": "pending", "leaseUntil": .date(0)]], in: Inbox.collection) }
        _ = try await inbox.claim("claim", owner: "one", limit: 1, now: at(30), leaseUntil: at(60))
        #expect(try await expireAt() == nil)
        let expiry = try await listedIndexes().filter { $0["expireAfterSeconds"] != nil }
        #expect(expiry.map { $0["key"] } == [["expireAt": 1]])
        #expect(expiry.map { $0["expireAfterSeconds"]?.integer } == [0])
    }

    @Test func indexesOfAnEarlierVersionGo() async throws {
        let database = ScratchDatabase.current
        let foreign = IndexSpec(Inbox.collection, "reports", keys: ["receivedAt": 1, "state": 1])
        _ = try await database.run { try $0.ensureIndexes(Inbox.formerIndexes + [foreign]) }
        #expect(try await indexKeys().count == 6)
        let store = try await Store.scratch()
        let keys = try await indexKeys()
        #expect(keys.count == 8)
        #expect(keys["records"] == nil && keys["hubspotSync_records"] == ["records": 1, "_id": 1])
        #expect(keys["expiry"] == nil && keys["hubspotSync_expiry"] == ["expireAt": 1])
        #expect(keys["reports"] == foreign.keys)
        #expect(try await store.missingIndexes() == [])
        try await store.prepare()
        #expect(try await indexKeys() == keys)
    }

    private func indexKeys() async throws -> [String: BSONDocument] {
        try await listedIndexes().reduce(into: [:]) { keys, index in
            if let name = index["name"]?.string { keys[name] = index["key"]?.document }
        }
    }

    private func listedIndexes() async throws -> [BSONDocument] {
        let reply = try await ScratchDatabase.current.run { try $0.command(["listIndexes": .string(Inbox.collection)]) }
        return reply["cursor"]?.document?["firstBatch"]?.array?.compactMap(\.document) ?? []
    }

    /// Among thousands, each question touches about as many documents as it answers.
    @Test func everyQuestionIsAnsweredFromAnIndex() async throws {
        let database = ScratchDatabase.current
        let inbox = try await Store.scratch().inbox
        try await inbox.append(
            (0..<3000).map { delivery(String(10_000 + $0), RecordKey(.contacts, "\($0 % 300)"), second: $0) }, owner: "one",
            leaseUntil: at(0))
        try await inbox.finish((0..<2989).map { (String(10_000 + $0), []) }, at: at(1))
        try await inbox.finish([("12989", [RecordKey(.contacts, "289")])], at: at(1))
        _ = try await database.run { try $0.command(["profile": 2]) }
        _ = try await claim(inbox, "1", owner: "two", at: 1, limit: 5)
        try await inbox.renew(["12990", "12991"], owner: "two", leaseUntil: at(30))
        try await inbox.release(owner: "two")
        for change in [
            { $0.hubspotId = "7" }, { $0.limit = 10 }, { $0.state = .pending }, { $0.state = .failed }, { $0.type = .deals },
            {
                $0.before = "10100"; $0.limit = 10
            }, { $0.id = "10005" },
            {
                $0.since = InboxTests.start + .seconds(5); $0.until = InboxTests.start + .seconds(9)
            },
        ] as [(inout Inbox.Query) -> Void] {
            var query = Inbox.Query()
            change(&query)
            _ = try await inbox.deliveries(query)
            if query.id != nil || query.since != nil { _ = try await inbox.replay(query) }
        }
        #expect(try await inbox.replayFailed() == 1)
        _ = try await database.run { try $0.command(["profile": 0]) }
        let name = database.name
        let calls = try await database.run { client in
            var calls: [(plan: String, examined: Int64, answered: Int64, text: String)] = []
            try client.find(
                MongoQuery(["ns": .string("\(name).\(Inbox.collection)"), "op": ["$in": ["query", "update"]]]), in: "system.profile"
            ) { entry in
                calls.append(
                    (
                        entry["planSummary"]?.string ?? "", entry["docsExamined"]?.integer ?? 0,
                        max(entry["nreturned"]?.integer ?? 0, entry["nMatched"]?.integer ?? 0),
                        "\(entry["command"]?.document ?? [:])"
                    ))
            }
            return calls
        }
        #expect(calls.count >= 16, "\(calls.map(\.plan))")
        for call in calls {
            #expect(!call.plan.contains("COLLSCAN") && !call.plan.isEmpty, "\(call)")
            #expect(call.examined <= call.answered + 15, "\(call.plan) \(call.examined) for \(call.answered)")
        }
    }
}

extension Inbox {
    /// All of them leased until the same instant.
    fileprivate func append(_ deliveries: [Delivery], owner: String, leaseUntil: Timestamp) async throws {
        try await append(deliveries.map { ($0, leaseUntil) }, owner: owner)
    }
}
