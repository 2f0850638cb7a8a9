import Bytes
import Model
import Mongo
import Rules
import Store
import TestSupport
import Testing

@Suite(.scratchDatabase, .timeLimit(.minutes(1))) struct BudgetStoreTests {
    private func ledger() -> BudgetLedger {
        var ledger = BudgetLedger()
        let until = Timestamp(milliseconds: 1_800_000_000_123)
        ledger.members["web-1.example.com:3002/9"] = .init(
            until: until, claims: [.general: .init(calls: 60, urgent: 3, wanted: 100), .search: .init(calls: 2, urgent: 0, wanted: 1)])
        ledger.members["b"] = .init(until: until + .seconds(1), claims: [.general: .init(calls: 36)])
        ledger.limits[.general] = RateLimit(calls: 190, interval: .seconds(10))
        ledger.pauses[.search] = .init(until: until, reason: .daily)
        return ledger
    }

    @Test func theLedgerIsKeptWhole() async throws {
        let store = try await Store.scratch().budget
        let empty = try await store.load()
        #expect(empty.ledger == BudgetLedger())
        let first = ledger()
        #expect(try await store.save(first, after: empty))
        let look = try await store.load()
        #expect(look.ledger == first)
        var second = first
        second.members["b"] = nil
        second.limits = [:]
        second.pauses = [:]
        #expect(try await store.save(second, after: look))
        #expect(try await store.load().ledger == second)
    }

    @Test func onlyWhoHasSeenTheLastVersionWrites() async throws {
        let store = try await Store.scratch().budget
        let nothing = try await store.load()
        let ledger = ledger()
        #expect(try await store.save(ledger, after: nothing))
        #expect(try await !store.save(BudgetLedger(), after: nothing))
        let look = try await store.load()
        #expect(try await store.save(ledger, after: look))
        #expect(try await !store.save(BudgetLedger(), after: look))
        #expect(try await store.load().ledger == ledger)
        // Removed by hand: nobody writes on top of what is not there.
        let last = try await store.load()
        _ = try await ScratchDatabase.current.run { try $0.deleteMany([:], in: "budget") }
        #expect(try await !store.save(ledger, after: last))
        #expect(try await store.save(ledger, after: try await store.load()))
    }

    /// However many write at once, one does.
    @Test func ofManyWritersOneWins() async throws {
        let store = try await Store.scratch().budget
        for _ in 0..<5 {
            let look = try await store.load()
            let ledger = ledger()
            let won = try await withThrowingTaskGroup(of: Bool.self) { group in
                for _ in 0..<8 { group.addTask { try await store.save(ledger, after: look) } }
                return try await group.reduce(0) { $0 + ($1 ? 1 : 0) }
            }
            #expect(won == 1)
        }
    }

    @Test func theClockIsTheServers() async throws {
        let store = try await Store.scratch().budget
        let before = Timestamp.now
        let empty = try await store.load()
        #expect(try await store.save(BudgetLedger(), after: empty))
        let look = try await store.load()
        #expect(before <= empty.storeNow && empty.storeNow <= look.storeNow && look.storeNow <= Timestamp.now + .milliseconds(1))
    }

    @Test func damagedEntriesAreLeftOut() async throws {
        let store = try await Store.scratch().budget
        let document: BSONDocument = [
            "_id": "hubspot", "version": 7, "members": [["id": "a"], 3, ["id": "b", "until": .date(5), "general": ["calls": -4], "search": 1]],
            "limits": ["general": "many"], "pauses": ["general": ["until": .date(9), "reason": "whim"]],
        ]
        _ = try await ScratchDatabase.current.run { try $0.insert([document.bytes], into: "budget") }
        let look = try await store.load()
        #expect(look.ledger.members == ["b": .init(until: Timestamp(milliseconds: 5), claims: [.general: .init()])])
        #expect(look.ledger.limits.isEmpty && look.ledger.pauses.isEmpty)
        #expect(try await store.save(BudgetLedger(), after: look))
    }
}
