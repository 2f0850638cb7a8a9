import Bytes
import Model
import Mongo
@testable import Store
import TestSupport
import Testing

@Suite(.scratchDatabase, .timeLimit(.minutes(3))) struct MirrorReaderTests {
    static let sorts: [(RecordType, String)] = RecordType.allCases.flatMap { type in
        (["updatedAt", "createdAt", "lastSyncedAt", "hubspotId"] + type.typedFields.map(\.name)).flatMap { [(type, $0), (type, "-" + $0)] }
    }

    /// Records full of ties, nulls, missing fields and fields of another type; every sort, every page size.
    @Test func pagingVisitsEachRecordExactlyOnce() async throws {
        let store = try await Store.scratch()
        var random = SeededRandom(state: 1)
        for type in RecordType.allCases {
            let records = (0..<66).map { number -> Record in
                var fields: [String: Record.SampleValue] = [:]
                for field in type.typedFields {
                    switch Int.random(in: 0..<8, using: &random) {
                    case 0...2: break
                    case 3: fields[field.name] = .number(Double(Int.random(in: 0..<3, using: &random)))
                    case 4: fields[field.name] = .date(Int64.random(in: 0..<3, using: &random))
                    case 5: fields[field.name] = .text("")
                    default: fields[field.name] = .text(["a", "A", "á", "b", "B", "ab"].randomElement(using: &random) ?? "a")
                    }
                }
                return .sample(type, id: "\(number)", updatedAt: Int64.random(in: 1...5, using: &random), fields: fields)
            }
            try await store.writer.write(records, of: type, at: instant(1))
            try await ScratchDatabase.current.run { client in
                for field in type.typedFields {
                    try client.updateMany(
                        ["_id": ["$in": ["3", "33", "63"]]], update: ["$unset": .document(BSONDocument([(field.name, 1)]))],
                        in: type.rawValue)
                }
            }
        }
        for (type, text) in Self.sorts {
            let sort = try #require(MirrorSort(text, of: type))
            for limit in [3, 13, 65, 66] {
                let (ids, pages) = try await walk(MirrorQuery(type, limit: limit, sort: sort), store)
                #expect(ids.count == 66 && Set(ids).count == 66, "\(type) by \(text), \(limit) a page")
                #expect(pages == (66 + limit - 1) / limit)
                let whole = try await store.mirror.page(MirrorQuery(type, limit: 1000, sort: sort))
                #expect(ids == whole.documents.map { $0["_id"]?.string ?? "" }, "\(type) by \(text), \(limit) a page")
                #expect(whole.total == 66 && whole.after == nil)
            }
        }
    }

    @Test func theDefaultIsNewestFirstWithoutTheArchived() async throws {
        let store = try await Store.scratch()
        try await store.writer.write(
            [
                .sample(id: "1", updatedAt: 5), .sample(id: "2", updatedAt: 9), .sample(id: "3", updatedAt: 7, archived: true),
                .sample(id: "4", updatedAt: 6),
            ], of: .contacts, at: instant(1))
        try await store.writer.recordFailure(.contacts, "4", message: "failed")
        #expect(try await ids(MirrorQuery(.contacts), store) == ["2", "4", "1"])
        #expect(try await ids(MirrorQuery(.contacts, archived: true), store) == ["3"])
        #expect(try await ids(MirrorQuery(.contacts, syncStatus: .error), store) == ["4"])
        #expect(try await ids(MirrorQuery(.contacts, updatedAfter: instant(5)), store) == ["2", "4"])
        #expect(try await ids(MirrorQuery(.deals), store) == [])
    }

    /// Filters hold on every page, also when filter and cursor are about the same field.
    @Test func filtersHoldOnEveryPage() async throws {
        let store = try await Store.scratch()
        try await store.writer.write(
            (0..<40).map { .sample(id: "\($0)", updatedAt: Int64($0 % 8), archived: $0 % 5 == 0) }, of: .contacts, at: instant(1))
        for direction in ["", "-"] {
            let sort = try #require(MirrorSort(direction + "updatedAt", of: .contacts))
            let query = MirrorQuery(.contacts, limit: 3, syncStatus: .synced, updatedAfter: instant(3), sort: sort)
            let (ids, _) = try await walk(query, store)
            let expected = (0..<40).filter { $0 % 8 > 3 && $0 % 5 != 0 }.map(String.init)
            #expect(ids.sorted() == expected.sorted())
            #expect(try await store.mirror.page(query).total == expected.count)
        }
    }

    @Test(arguments: [
        ("jo", ["1", "2", "3", "4", "5"]), ("JO", ["1", "2", "3", "4", "5"]), ("jö", ["1", "2", "3", "4", "5"]), ("john", ["1", "5"]),
        ("Smith", ["6"]), ("smith@", ["6"]), ("ohn", []), ("", ["1", "2", "3", "4", "5", "6", "7"]), (".*", []), ("$", []), ("日", ["7"]),
    ]) func qIsAPrefixOfAnySearchedFieldInAnyCase(q: String, expected: [String]) async throws {
        let store = try await Store.scratch()
        try await store.writer.write(
            [
                .sample(id: "1", fields: ["firstName": "John", "lastName": "Johnson"]), .sample(id: "2", fields: ["lastName": "JOLLY"]),
                .sample(id: "3", fields: ["email": "joe@example.org"]), .sample(id: "4", fields: ["firstName": "jÖrg"]),
                .sample(id: "5", fields: ["firstName": "joHN"]), .sample(id: "6", fields: ["email": "smith@john.example", "company": "Jo"]),
                .sample(id: "7", fields: ["lastName": "日本"]),
            ], of: .contacts, at: instant(1))
        let sort = try #require(MirrorSort("hubspotId", of: .contacts))
        let (found, _) = try await walk(MirrorQuery(.contacts, limit: 2, q: q, sort: sort), store)
        #expect(found == expected)
        // In the default order all seven tie.
        #expect(try await walk(MirrorQuery(.contacts, limit: 2, q: q), store).ids == expected.reversed())
        #expect(try await store.mirror.page(MirrorQuery(.contacts, q: q)).total == expected.count)
    }

    @Test func aCursorOfAnotherSortOrOfNobodyIsRefused() async throws {
        let store = try await Store.scratch()
        try await store.writer.write((0..<5).map { .sample(id: "\($0)") }, of: .contacts, at: instant(1))
        let cursor = try #require(try await store.mirror.page(MirrorQuery(.contacts, limit: 2)).after)
        let byEmail = try #require(MirrorSort("email", of: .contacts))
        let forged = [
            BSONDocument([("s", "-updatedAt"), ("i", "1"), ("v", ["$gt": ""])]), BSONDocument([("s", "-updatedAt"), ("i", ["$ne": 1])]),
            BSONDocument([("s", "-updatedAt"), ("i", "1"), ("v", .regex("^a", options: ""))]), BSONDocument(),
        ].map { Base64.url.encode($0.bytes) }
        let damaged = ["", "x", "####", String(cursor.dropLast(3)), String(cursor.dropFirst(4)), cursor + "AAAA"] + forged
        let refused =
            [MirrorQuery(.contacts, after: cursor, sort: byEmail), MirrorQuery(.contacts, after: cursor, q: "a")]
            + damaged.map { MirrorQuery(.contacts, after: $0) }
        for query in refused {
            let error = await #expect(throws: StoreError.self, "\(query.after ?? "")") { try await store.mirror.page(query) }
            #expect(error?.kind == .badCursor)
        }
    }

    /// A text too long for a URL is read again from its record.
    @Test func cursorsStayShort() async throws {
        let store = try await Store.scratch()
        let long = String(repeating: "x", count: 60_000)
        try await store.writer.write(
            (0..<6).map { .sample(id: "\($0)", fields: ["jobTitle": .text(long + "\($0 / 2)")]) }, of: .contacts, at: instant(1))
        let sort = try #require(MirrorSort("-jobTitle", of: .contacts))
        let page = try await store.mirror.page(MirrorQuery(.contacts, limit: 1, sort: sort))
        #expect(try #require(page.after).utf8.count < 200)
        #expect(try await walk(MirrorQuery(.contacts, limit: 1, sort: sort), store).ids == ["5", "4", "3", "2", "1", "0"])
    }

    @Test func countsAreExact() async throws {
        let store = try await Store.scratch()
        try await store.writer.write((0..<30).map { .sample(id: "\($0)", archived: $0 >= 25) }, of: .contacts, at: instant(10))
        try await store.writer.write((0..<3).map { .sample(id: "\($0)") }, of: .contacts, at: instant(20))
        _ = try await store.writer.markStale(olderThan: instant(20))
        try await store.writer.recordFailure(.contacts, "9", message: "failed")
        let counts = try await store.mirror.counts()
        var expected = MirrorCounts()
        (expected.synced, expected.pending, expected.error, expected.archived) = (3, 21, 1, 5)
        expected.lastSyncedAt = instant(20)
        #expect(counts == [.contacts: expected, .companies: MirrorCounts(), .deals: MirrorCounts()])
        #expect(expected.total == 25)
    }

    // MARK: How the server does it

    @Test func countsTouchNoDocument() async throws {
        let store = try await Store.scratch()
        try await store.writer.write((0..<500).map { .sample(id: "\($0)") }, of: .contacts, at: instant(1))
        for query in SyncStatus.allCases.map(MirrorReader.countQuery) + [MirrorReader.archivedQuery] {
            let plan = try await explain(query, counting: true)
            #expect(plan.documents == 0)
            #expect(plan.indexes == ["byStatus"])
        }
        let plan = try await explain(MirrorReader.lastSyncedQuery(.synced))
        #expect(plan.documents == 0 && plan.keys <= 1)
    }

    /// Two thousand records, most of one instant: a page reads what it returns and little more, wherever it starts.
    @Test(arguments: ["updatedAt", "-updatedAt", "email", "-email"]) func aPageReadsNoMoreThanItReturns(text: String) async throws {
        let store = try await Store.scratch()
        try await store.writer.write(
            (0..<2_000).map { number in
                .sample(
                    id: "\(number)", updatedAt: number < 1_500 ? 7 : Int64(number), fields: ["email": .text("user\(number % 900)@example.org")])
            }, of: .contacts, at: instant(1))
        let sort = try #require(MirrorSort(text, of: .contacts))
        var query = MirrorQuery(.contacts, limit: 100, sort: sort)
        for _ in 0..<4 {
            let plan = MirrorPlan(query)
            let cursor = try query.after.map { try MirrorCursor($0, for: plan.cursorSort) }
            let explained = try await explain(plan.page(after: cursor))
            #expect(explained.documents <= 110, "\(text): \(explained)")
            #expect(explained.keys <= 320, "\(text): \(explained)")
            #expect(!explained.stages.contains("COLLSCAN") && !explained.stages.contains("SORT"), "\(text): \(explained)")
            query.after = try await store.mirror.page(query).after
        }
    }

    @Test func aSearchReadsWhatItFinds() async throws {
        let store = try await Store.scratch()
        try await store.writer.write(
            (0..<2_000).map { .sample(id: "\($0)", fields: ["email": .text("user\($0)@example.org"), "lastName": .text("Name\($0)")]) },
            of: .contacts, at: instant(1))
        let plan = MirrorPlan(MirrorQuery(.contacts, q: "USER77"))
        for (query, counting) in [(plan.page(after: nil), false), (plan.total, true)] {
            let explained = try await explain(query, counting: counting)
            #expect(explained.documents <= 15, "\(explained)")
            #expect(!explained.stages.contains("COLLSCAN"))
        }
        let total = try await explain(MirrorPlan(MirrorQuery(.contacts)).total, counting: true)
        #expect(total.documents == 0)
    }

    /// What the admin page asks for costs what it shows: a beginning that all records share, and failures among many.
    @Test func aPageOfSearchOrFailuresReadsWhatItShows() async throws {
        let store = try await Store.scratch()
        try await store.writer.write(
            (0..<2_000).map { .sample(id: "\($0)", fields: ["email": .text("user\($0)@example.org"), "lastName": .text("Name\($0)")]) },
            of: .contacts, at: instant(1))
        for id in ["5", "9", "700"] { try await store.writer.recordFailure(.contacts, id, message: "no \(id)") }
        for query in [MirrorReader.prefixQuery("email", "U", limit: 20), MirrorReader.failuresQuery(limit: 20)] {
            let explained = try await explain(query)
            #expect((3...20).contains(explained.documents) && explained.keys <= 21, "\(explained)")
            #expect(!explained.stages.contains("COLLSCAN") && !explained.stages.contains("SORT"), "\(explained)")
        }
        #expect(try await store.mirror.search(.contacts, beginningWith: "u", limit: 20).count == 20)
        let found = try await store.mirror.search(.contacts, beginningWith: "NAME77", limit: 20).map { $0["_id"]?.string ?? "" }
        #expect(Set(found) == Set(["77"] + (770...779).map(String.init)))
        #expect(try await store.mirror.search(.contacts, beginningWith: "700", limit: 20).map { $0["_id"]?.string } == ["700"])
        #expect(try await store.mirror.search(.contacts, beginningWith: "", limit: 20).isEmpty)
        let failures = try await store.mirror.failures(.contacts, limit: 2)
        #expect(failures.count == 2 && failures.allSatisfy { $0["syncError"]?.string?.hasPrefix("no ") == true })
    }

    private struct Plan { var documents: Int64 = 0, keys: Int64 = 0, stages: Set<String> = [], indexes: Set<String> = [] }

    private func explain(_ query: MongoQuery, counting: Bool = false) async throws -> Plan {
        let reply = try await ScratchDatabase.current.run { try $0.explain(query, in: "contacts", counting: counting) }
        var plan = Plan()
        func visit(_ document: BSONDocument, winning: Bool) {
            for element in document.elements {
                let key = element.name
                switch element.value {
                case .document(let inner):
                    if key == "executionStats" {
                        plan.documents += inner["totalDocsExamined"]?.integer ?? 0
                        plan.keys += inner["totalKeysExamined"]?.integer ?? 0
                    }
                    visit(inner, winning: winning || key == "winningPlan")
                case .array(let values) where key != "rejectedPlans":
                    for value in values { if let inner = value.document { visit(inner, winning: winning) } }
                case .string(let text) where winning && key == "stage": plan.stages.insert(text)
                case .string(let text) where winning && key == "indexName": plan.indexes.insert(text)
                default: break
                }
            }
        }
        visit(reply, winning: false)
        try #require(!plan.stages.isEmpty, "\(reply)")
        return plan
    }

    private func walk(_ query: MirrorQuery, _ store: Store) async throws -> (ids: [String], pages: Int) {
        var query = query
        var found: [String] = []
        var pages = 0
        repeat {
            let page = try await store.mirror.page(query)
            found += page.documents.map { $0["_id"]?.string ?? "" }
            query.after = page.after
            pages += 1
        } while query.after != nil && pages < 200
        return (found, pages)
    }

    private func ids(_ query: MirrorQuery, _ store: Store) async throws -> [String] {
        try await store.mirror.page(query).documents.map { $0["_id"]?.string ?? "" }
    }
}
