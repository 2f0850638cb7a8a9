import Bytes
import Model
import Mongo
@testable import Store
import TestSupport
import Testing

/// How records leave the mirror, and that what was read before they left does not bring them back.
@Suite(.scratchDatabase, .timeLimit(.minutes(3))) struct MirrorLeavingTests {
    private func value(_ key: String, _ id: String, _ store: Store) async throws -> BSONValue? {
        try #require(try await store.mirror.record(.contacts, id), "contact \(id)")[key]
    }

    // MARK: Erasing

    @Test func anErasedRecordIsGoneAndAStalePageDoesNotBringItBack() async throws {
        let store = try await Store.scratch()
        try await store.writer.write([.sample(id: "1"), .sample(id: "2")], of: .contacts, at: instant(10))
        try await store.writer.erase(RecordKey(.contacts, "1"), at: instant(20))
        #expect(try await store.mirror.record(.contacts, "1") == nil)
        // However new the page looks: HubSpot never gives an id twice.
        for now in [5, 20, 1_000_000] {
            let outcome = try await store.writer.write(
                [.sample(id: "1", updatedAt: Int64(now) * 10), .sample(id: "2", updatedAt: Int64(now) * 10)], of: .contacts,
                at: instant(Int64(now)))
            #expect(outcome.created == 0 && outcome.failures.isEmpty)
        }
        #expect(try await store.mirror.record(.contacts, "1") == nil)
        #expect(try await value("hubspotUpdatedAt", "2", store) == .date(10_000_000))
    }

    @Test func erasingWhatTheMirrorNeverHadKeepsItOut() async throws {
        let store = try await Store.scratch()
        try await store.writer.erase(RecordKey(.contacts, "1"), at: instant(1))
        try await store.writer.erase(RecordKey(.contacts, "1"), at: instant(2))
        let outcome = try await store.writer.write([.sample(id: "1"), .sample(id: "2")], of: .contacts, at: instant(3))
        #expect(outcome.created == 1 && outcome.outdated == 1)
        #expect(try await store.mirror.record(.contacts, "1") == nil)
    }

    /// An id is unique within its type only.
    @Test func erasingOneTypeLeavesTheOthers() async throws {
        let store = try await Store.scratch()
        for type in RecordType.allCases { try await store.writer.write([.sample(type, id: "1")], of: type, at: instant(1)) }
        try await store.writer.erase(RecordKey(.contacts, "1"), at: instant(2))
        #expect(try await store.mirror.record(.contacts, "1") == nil)
        #expect(try await store.mirror.record(.companies, "1") != nil)
        #expect(try await store.mirror.record(.deals, "1") != nil)
    }

    /// Nothing of what it held is anywhere in the database.
    @Test func nothingOfAnErasedRecordIsLeft() async throws {
        let store = try await Store.scratch()
        try await store.writer.write(
            [.sample(id: "1", fields: ["email": "marker@example.com"], properties: ["email": "marker@example.com"])], of: .contacts,
            at: instant(1))
        try await store.writer.recordFailure(.contacts, "1", message: "marker@example.com is refused")
        try await store.writer.erase(RecordKey(.contacts, "1"), at: instant(2))
        let names = try await ScratchDatabase.current.run { try $0.command(["listCollections": 1, "nameOnly": true]) }
        for name in names["cursor"]?.document?["firstBatch"]?.array?.compactMap({ $0.document?["name"]?.string }) ?? [] {
            try await ScratchDatabase.current.run { client in
                try client.find(in: name) { document in
                    #expect(!String(decoding: document.bytes, as: UTF8.self).contains("marker"), "\(name)")
                }
            }
        }
    }

    /// Pages with the record and its erasure race, the record being new or known before. The erasure wins, always.
    @Test func whoeverComesFirstAnErasedRecordStaysErased() async throws {
        let store = try await Store.scratch()
        for seed in seeds {
            var random = SeededRandom(state: seed)
            let ids = (0..<8).map { "\(seed)-\($0)" }
            let known = ids.filter { _ in Bool.random(using: &random) }
            try await store.writer.write(known.map { .sample(id: $0) }, of: .contacts, at: instant(1))
            let erased = ids.filter { _ in Bool.random(using: &random) }
            try await withThrowingTaskGroup(of: Void.self) { group in
                for page in 1...4 {
                    let records = ids.shuffled(using: &random).map { Record.sample(id: $0, updatedAt: 1_000 + Int64(page)) }
                    group.addTask { _ = try await store.writer.write(records, of: .contacts, at: instant(Int64(page))) }
                }
                for id in erased { group.addTask { try await store.writer.erase(RecordKey(.contacts, id), at: instant(3)) } }
                try await group.waitForAll()
            }
            for id in ids {
                let isThere = try await store.mirror.record(.contacts, id) != nil
                #expect(isThere == !erased.contains(id), "seed \(seed), id \(id)")
            }
        }
    }

    /// The page's writer fails between its insert and its second look for tombstones; the page is written again.
    @Test func aWriteThatFailsHalfwayDoesNotBringAnErasedRecordBack() async throws {
        let store = try await Store.scratch()
        // What such a writer leaves: the tombstone and, inserted after the erasure had looked, the document.
        try await store.writer.write([.sample(id: "1"), .sample(id: "2")], of: .contacts, at: instant(1))
        let left = try #require(try await store.mirror.record(.contacts, "1"))
        try await store.writer.erase(RecordKey(.contacts, "1"), at: instant(2))
        _ = try await ScratchDatabase.current.run { try $0.insert([left.bytes], into: "contacts") }
        for (number, version) in [Int64(1_000), 2_000, 500].enumerated() {
            try await store.writer.write(
                [.sample(id: "1", updatedAt: version), .sample(id: "2", updatedAt: version)], of: .contacts,
                at: instant(3 + Int64(number)))
            #expect(try await store.mirror.record(.contacts, "1") == nil, "version \(version)")
            _ = try await ScratchDatabase.current.run { try $0.insert([left.bytes], into: "contacts") }
        }
        #expect(try await value("hubspotUpdatedAt", "2", store) == .date(2_000))
    }

    // MARK: Merging

    @Test func mergedRecordsLeaveAndTheSurvivorNamesThem() async throws {
        let store = try await Store.scratch()
        try await store.writer.write(["1", "2", "3", "4"].map { .sample(id: $0) }, of: .contacts, at: instant(1))
        try await store.writer.absorb(["1", "2", "3"], into: RecordKey(.contacts, "3"), at: instant(2))
        #expect(try await store.mirror.record(.contacts, "1") == nil)
        #expect(try await store.mirror.record(.contacts, "2") == nil)
        #expect(try await value("mergedIds", "3", store) == ["1", "2"], "it does not name itself")
        #expect(try await value("mergedIds", "4", store) == [])
        // Again, as every step may be repeated.
        try await store.writer.absorb(["2", "1"], into: RecordKey(.contacts, "3"), at: instant(3))
        #expect(try await value("mergedIds", "3", store) == ["1", "2"])
        let stale = try await store.writer.write(
            ["1", "2", "3"].map { .sample(id: $0, updatedAt: 9_000) }, of: .contacts, at: instant(4))
        #expect(stale.created == 0)
        #expect(try await store.mirror.record(.contacts, "1") == nil)
        #expect(try await value("mergedIds", "3", store) == ["1", "2"])
    }

    @Test func aSurvivorThatComesLaterIsTakenAndTheOthersAreNot() async throws {
        let store = try await Store.scratch()
        try await store.writer.write([.sample(id: "1")], of: .contacts, at: instant(1))
        try await store.writer.absorb(["1", "2"], into: RecordKey(.contacts, "9"), at: instant(2))
        #expect(try await store.mirror.record(.contacts, "1") == nil)
        #expect(try await store.mirror.record(.contacts, "9") == nil)
        let outcome = try await store.writer.write(
            [.sample(id: "1"), .sample(id: "2"), .sample(id: "9", mergedIds: ["1", "2"])], of: .contacts, at: instant(3))
        #expect(outcome.created == 1)
        #expect(try await value("mergedIds", "9", store) == ["1", "2"])
    }

    @Test func whoeverComesFirstAMergedRecordStaysAway() async throws {
        let store = try await Store.scratch()
        for seed in seeds.prefix(30) {
            var random = SeededRandom(state: seed)
            let survivor = "\(seed)-survivor"
            let ids = (0..<6).map { "\(seed)-\($0)" }
            let known = ids.filter { _ in Bool.random(using: &random) }
            try await store.writer.write((known + [survivor]).map { .sample(id: $0) }, of: .contacts, at: instant(1))
            let merged = ids.filter { _ in Bool.random(using: &random) }
            try await withThrowingTaskGroup(of: Void.self) { group in
                for page in 1...3 {
                    let records = (ids + [survivor]).shuffled(using: &random).map {
                        Record.sample(id: $0, updatedAt: 1_000 + Int64(page))
                    }
                    group.addTask { _ = try await store.writer.write(records, of: .contacts, at: instant(Int64(page))) }
                }
                for id in merged {
                    group.addTask { try await store.writer.absorb([id], into: RecordKey(.contacts, survivor), at: instant(3)) }
                }
                try await group.waitForAll()
            }
            for id in ids {
                let isThere = try await store.mirror.record(.contacts, id) != nil
                #expect(isThere == !merged.contains(id), "seed \(seed), id \(id)")
            }
            let named = try await value("mergedIds", survivor, store)?.array?.compactMap(\.string).sorted()
            #expect(named == merged.sorted(), "seed \(seed)")
        }
    }

    // MARK: Deleting and restoring

    /// Deleting need not move `updatedAt`: a list page from before it looks as new as the deletion.
    @Test func aPageFromBeforeADeletionDoesNotUndoIt() async throws {
        let store = try await Store.scratch()
        try await store.writer.write([.sample(id: "1", updatedAt: 1_000)], of: .contacts, at: instant(2_000))
        try await store.writer.write([.sample(id: "1", updatedAt: 1_000, archived: true)], of: .contacts, at: instant(5_000))
        #expect(try await value("archived", "1", store) == true)
        for now in [2_000, 4_999] {
            let outcome = try await store.writer.write([.sample(id: "1", updatedAt: 1_000)], of: .contacts, at: instant(Int64(now)))
            #expect(outcome.outdated == 1)
            #expect(try await value("archived", "1", store) == true)
        }
        #expect(try await value("lastSyncedAt", "1", store) == .date(5_000))
    }

    /// One with a newer date at once; one without, once no part of HubSpot can still be behind the deletion.
    @Test(arguments: [(Int64(1_000), Int64(70_000)), (6_000, 7_000)])
    func aRestoreThatIsReadAfterwardsCounts(updatedAt: Int64, readAt: Int64) async throws {
        let store = try await Store.scratch()
        try await store.writer.write([.sample(id: "1", updatedAt: 1_000, archived: true)], of: .contacts, at: instant(5_000))
        let outcome = try await store.writer.write([.sample(id: "1", updatedAt: updatedAt)], of: .contacts, at: instant(readAt))
        #expect(outcome.updated == 1 && outcome.outdated == 0)
        #expect(try await value("archived", "1", store) == false)
        #expect(try await value("archivedAt", "1", store) == .null)
        #expect(try await value("syncStatus", "1", store) == "synced")
    }

    /// A change after the deletion is a state of after it, whenever it was read.
    @Test func aStateThatIsNewerThanTheDeletionCountsHoweverItWasRead() async throws {
        let store = try await Store.scratch()
        try await store.writer.write([.sample(id: "1", updatedAt: 1_000, archived: true)], of: .contacts, at: instant(5_000))
        try await store.writer.write([.sample(id: "1", updatedAt: 1_001)], of: .contacts, at: instant(4_000))
        #expect(try await value("archived", "1", store) == false)
    }

    @Test func whatHubSpotNoLongerKnowsIsMarkedUnlessItWasReadSince() async throws {
        let store = try await Store.scratch()
        try await store.writer.write(["1", "2", "3"].map { .sample(id: $0) }, of: .contacts, at: instant(2_000))
        try await store.writer.write([.sample(id: "2", updatedAt: 5_000)], of: .contacts, at: instant(6_000))
        try await store.writer.recordFailure(.contacts, "1", message: "failed")
        try await store.writer.archiveGone(["1", "2", "unknown"], of: .contacts, at: instant(4_000))
        #expect(try await value("archived", "1", store) == true)
        #expect(try await value("archivedAt", "1", store) == .date(4_000))
        #expect(try await value("lastSyncedAt", "1", store) == .date(4_000))
        #expect(try await value("syncStatus", "1", store) == "synced")
        #expect(try await value("syncError", "1", store) == .null)
        #expect(try await value("archived", "2", store) == false)
        #expect(try await value("archived", "3", store) == false)
        #expect(try await store.mirror.record(.contacts, "unknown") == nil)
        // The instant of the first deletion stays.
        try await store.writer.archiveGone(["1"], of: .contacts, at: instant(9_000))
        #expect(try await value("archivedAt", "1", store) == .date(4_000))
        // A page from before does not undo it, a later read does.
        try await store.writer.write([.sample(id: "1")], of: .contacts, at: instant(3_000))
        #expect(try await value("archived", "1", store) == true)
        try await store.writer.write([.sample(id: "1")], of: .contacts, at: instant(70_000))
        #expect(try await value("archived", "1", store) == false)
    }

    /// A list that is a little behind shows a record live that was just deleted, and is asked after the recycle bin was.
    @Test(arguments: [false, true]) func aDeletionWinsOverAReadingThatWasBehind(isOvertaken: Bool) async throws {
        let store = try await Store.scratch()
        let deleted = Record.sample(id: "1", updatedAt: 1_000, archived: true)
        if isOvertaken {
            // Written since the versions were read.
            try await store.writer.write([.sample(id: "1", updatedAt: 900)], of: .contacts, at: instant(4_000))
            try await ScratchDatabase.current.run { client in
                let live = MirrorDocument.update(.sample(id: "1", updatedAt: 1_000), at: instant(5_000))
                _ = try client.updateOne(["_id": "1"], update: live, in: "contacts")
                let outcome = try client.bulk([.updateOne(MirrorDocument.guarded(deleted, at: instant(4_950)), update: MirrorDocument.update(deleted, at: instant(4_950)))], in: "contacts")
                #expect(outcome.matched == 1)
            }
        } else {
            try await store.writer.write([.sample(id: "1", updatedAt: 1_000)], of: .contacts, at: instant(5_000))
            let outcome = try await store.writer.write([deleted], of: .contacts, at: instant(4_950))
            #expect(outcome.updated == 1)
        }
        #expect(try await value("archived", "1", store) == true)
        // Not over one that is much later: restored without a new date.
        try await store.writer.write([.sample(id: "2", updatedAt: 1_000)], of: .contacts, at: instant(65_000))
        let late = try await store.writer.write(
            [.sample(id: "2", updatedAt: 1_000, archived: true)], of: .contacts, at: instant(4_950))
        #expect(late.outdated == 1)
        #expect(try await value("archived", "2", store) == false)
    }

    /// Two readings that began in the same millisecond: what one saw outweighs what the other did not see.
    @Test func whatWasSeenInTheSameMillisecondStays() async throws {
        let store = try await Store.scratch()
        try await store.writer.write([.sample(id: "1")], of: .contacts, at: instant(4_000))
        try await store.writer.write([.sample(.deals, id: "1")], of: .deals, at: instant(4_000))
        try await store.writer.removeGone(["1"], of: .contacts, at: instant(4_000))
        try await store.writer.archiveGone(["1"], of: .deals, at: instant(4_000))
        #expect(try await store.mirror.record(.contacts, "1") != nil)
        #expect(try await store.mirror.record(.deals, "1")?["archived"] == false)
    }

    /// A deletion and pages from before it race. The deletion wins.
    @Test func whoeverComesFirstADeletionStands() async throws {
        let store = try await Store.scratch()
        for seed in seeds {
            var random = SeededRandom(state: seed)
            let ids = (0..<6).map { "\(seed)-\($0)" }
            let known = ids.filter { _ in Bool.random(using: &random) }
            try await store.writer.write(known.map { .sample(id: $0, updatedAt: 1_000) }, of: .contacts, at: instant(1_001))
            let deleted = ids.filter { _ in Bool.random(using: &random) }
            try await withThrowingTaskGroup(of: Void.self) { group in
                for page in 0..<3 {
                    let records = ids.shuffled(using: &random).map { Record.sample(id: $0, updatedAt: 1_000) }
                    group.addTask { _ = try await store.writer.write(records, of: .contacts, at: instant(2_000 + Int64(page))) }
                }
                let gone = deleted.map { Record.sample(id: $0, updatedAt: 1_000, archived: true) }
                group.addTask { _ = try await store.writer.write(gone, of: .contacts, at: instant(3_000)) }
                try await group.waitForAll()
            }
            for id in ids {
                #expect(try await value("archived", id, store) == .bool(deleted.contains(id)), "seed \(seed), id \(id)")
            }
        }
    }

    // MARK: Associations

    @Test func associationsAreSetByTypeAndLeaveTheRestAlone() async throws {
        let store = try await Store.scratch()
        let writer = store.writer
        try await writer.write([.sample(id: "1"), .sample(id: "2")], of: .contacts, at: instant(1))
        try await writer.setAssociations(["1": ["7", "8"], "unknown": ["9"]], of: .contacts, to: .companies, readAt: instant(1))
        try await writer.setAssociations(["1": ["5"], "2": ["6"]], of: .contacts, to: .deals, readAt: instant(1))
        #expect(try await value("associations", "1", store) == ["companies": ["7", "8"], "contacts": [], "deals": ["5"]])
        #expect(try await value("associations", "2", store) == ["companies": [], "contacts": [], "deals": ["6"]])
        #expect(try await store.mirror.record(.contacts, "unknown") == nil)
        try await writer.setAssociations(["1": []], of: .contacts, to: .companies, readAt: instant(1))
        try await writer.setAssociations([:], of: .contacts, to: .deals, readAt: instant(1))
        // A record that is written again keeps them.
        try await writer.write([.sample(id: "1", updatedAt: 2_000)], of: .contacts, at: instant(2))
        #expect(try await value("associations", "1", store) == ["companies": [], "contacts": [], "deals": ["5"]])
        #expect(try await value("lastSyncedAt", "1", store) == .date(2))
    }

    /// They have no date of HubSpot's: what was read later is newer, for each type by itself.
    @Test(arguments: [false, true]) func associationsThatWereReadEarlierDoNotReplaceLaterOnes(isEqual: Bool) async throws {
        let store = try await Store.scratch()
        let writer = store.writer
        try await writer.write([.sample(id: "1")], of: .contacts, at: instant(1))
        if isEqual { try await writer.setAssociations(["1": ["7"]], of: .contacts, to: .companies, readAt: instant(2)) }
        try await writer.setAssociations(["1": ["7"]], of: .contacts, to: .companies, readAt: instant(9))
        try await writer.setAssociations(["1": ["8"]], of: .contacts, to: .companies, readAt: instant(5))
        try await writer.setAssociations(["1": ["6"]], of: .contacts, to: .deals, readAt: instant(4))
        var page = Record.sample(id: "1", updatedAt: 3_000)
        page.associations = [.companies: ["8"], .deals: [], .contacts: ["2"]]
        try await writer.write([page], of: .contacts, at: instant(6))
        #expect(try await value("associations", "1", store) == ["companies": ["7"], "contacts": ["2"], "deals": []])
        // Equal in everything else: only the associations are new.
        page.associations = [.companies: ["8"]]
        let outcome = try await writer.write([page], of: .contacts, at: instant(10))
        #expect(outcome.updated == 1 && outcome.unchanged == 0)
        #expect(try await value("associations", "1", store) == ["companies": ["8"], "contacts": ["2"], "deals": []])
        #expect(try await writer.write([page], of: .contacts, at: instant(11)).unchanged == 1)
    }

    /// Each association stands in two documents.
    @Test func theOtherEndFollows() async throws {
        let store = try await Store.scratch()
        let writer = store.writer
        func ends(_ id: String) async throws -> BSONValue? { try await value("associations", id, store)?.document?["companies"] }
        for id in ["7", "8", "9"] { try await writer.write([.sample(.companies, id: id)], of: .companies, at: instant(1)) }
        try await writer.write([.sample(id: "1"), .sample(id: "2")], of: .contacts, at: instant(1))
        try await writer.setAssociations(["1": ["7", "8", "9"], "2": ["8"]], of: .contacts, to: .companies, readAt: instant(2))
        try await writer.setAssociations(["7": ["1"], "8": ["1", "2"], "9": ["1"]], of: .companies, to: .contacts, readAt: instant(2))
        // One that was lost.
        try await writer.setAssociations(["7": []], of: .companies, to: .contacts, readAt: instant(3))
        #expect(try await ends("1") == ["8", "9"])
        // But not from a list that was read later.
        try await writer.setAssociations(["1": ["7", "8", "9"]], of: .contacts, to: .companies, readAt: instant(5))
        try await writer.setAssociations(["7": ["1"]], of: .companies, to: .contacts, readAt: instant(5))
        try await writer.setAssociations(["7": []], of: .companies, to: .contacts, readAt: instant(4))
        #expect(try await ends("1") == ["7", "8", "9"])
        try await writer.setAssociations(["7": []], of: .companies, to: .contacts, readAt: instant(9))
        // What is deleted, and what is erased; a page from before brings neither back.
        try await writer.write([.sample(.companies, id: "8", updatedAt: 2_000, archived: true)], of: .companies, at: instant(3_000))
        try await writer.dissociateArchived(["8", "9"], of: .companies)
        try await writer.erase(RecordKey(.companies, "9"), at: instant(3_000))
        #expect(try await ends("1") == [])
        #expect(try await ends("2") == [])
        var page = Record.sample(id: "1", updatedAt: 5_000)
        page.associations = [.companies: ["8", "9"]]
        try await writer.write([page], of: .contacts, at: instant(2_500))
        #expect(try await ends("1") == [])
    }
}
