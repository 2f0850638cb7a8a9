import Model
import Rules
import Testing

@Suite struct WebhookEventWishesTests {
    private let instant = Timestamp(milliseconds: 1_769_081_993_375)

    private func event(_ verb: WebhookEvent.Verb?, _ type: RecordType? = .contacts, id: String? = "1") -> WebhookEvent {
        var event = WebhookEvent(subscriptionType: "any")
        event.verb = verb
        event.type = type
        event.objectId = id
        event.occurredAt = instant
        return event
    }

    /// The wishes by record, in a form to compare.
    private func wishes(_ event: WebhookEvent) -> [RecordKey: RecordQueue.Wish] {
        Dictionary(
            event.wishes.map { ($0.key, $0.wish) },
            uniquingKeysWith: { _, _ in
                Issue.record("a record is wished for twice")
                return .init()
            })
    }

    private func wish(changedAt: Timestamp? = nil, associations: Set<RecordType> = [], mergedIds: Set<String> = [])
        -> RecordQueue.Wish
    {
        var wish = RecordQueue.Wish(changedAt: changedAt)
        wish.associations = associations
        wish.isMutual = associations.count == RecordType.allCases.count
        wish.mergedIds = mergedIds
        return wish
    }

    @Test(arguments: [WebhookEvent.Verb.creation, .deletion, .propertyChange, .restore], RecordType.allCases)
    func aChangeAsksForAReadThatIsNotOlder(verb: WebhookEvent.Verb, type: RecordType) {
        // A restored record has its associations back, of which nothing else tells.
        let associations = verb == .restore ? Set(RecordType.allCases) : []
        #expect(wishes(event(verb, type)) == [RecordKey(type, "1"): wish(changedAt: instant, associations: associations)])
        var undated = event(verb, type)
        undated.occurredAt = nil
        #expect(wishes(undated) == [RecordKey(type, "1"): wish(associations: associations)])
    }

    @Test(arguments: WebhookEvent.Verb.allCases) func whatNamesNoRecordAsksForNothing(verb: WebhookEvent.Verb) {
        #expect(event(verb, id: nil).wishes.isEmpty)
        #expect(event(verb, nil).wishes.isEmpty)
    }

    @Test func anUnknownVerbAsksForNothing() { #expect(event(nil).wishes.isEmpty) }

    @Test func aPrivacyDeletionErases() {
        var erasure = RecordQueue.Wish()
        erasure.isErasure = true
        #expect(wishes(event(.privacyDeletion)) == [RecordKey(.contacts, "1"): erasure])
    }

    private let all = Set(RecordType.allCases)

    /// Both of HubSpot's behaviours: a third record results, or the preferred one stays.
    @Test func aMergeRefreshesTheSurvivorAndLooksUpTheOthers() {
        var merge = event(.merge, .companies, id: "777")
        merge.primaryId = "111"
        merge.mergedIds = ["222", "333"]
        merge.newId = "777"
        #expect(
            wishes(merge) == [
                RecordKey(.companies, "777"): wish(changedAt: instant, associations: all, mergedIds: ["111", "222", "333"]),
                RecordKey(.companies, "111"): wish(), RecordKey(.companies, "222"): wish(), RecordKey(.companies, "333"): wish(),
            ])
        merge.objectId = "111"
        merge.newId = "111"
        #expect(
            wishes(merge) == [
                RecordKey(.companies, "111"): wish(changedAt: instant, associations: all, mergedIds: ["222", "333"]),
                RecordKey(.companies, "222"): wish(),
                RecordKey(.companies, "333"): wish(),
            ])
    }

    @Test func aMergeThatNamesLessIsDerived() {
        var merge = event(.merge, id: nil)
        merge.primaryId = "111"
        merge.mergedIds = ["222"]
        #expect(
            wishes(merge) == [
                RecordKey(.contacts, "111"): wish(changedAt: instant, associations: all, mergedIds: ["222"]), RecordKey(.contacts, "222"): wish(),
            ])
        // Nothing says what became of a record that is only what the event is about: it is read, not taken for merged away.
        merge.objectId = "5"
        #expect(wishes(merge)[RecordKey(.contacts, "5")] == wish())
        #expect(wishes(merge)[RecordKey(.contacts, "111")]?.mergedIds == ["222"])
        let bare = event(.merge, id: "5")
        #expect(wishes(bare) == [RecordKey(.contacts, "5"): wish(changedAt: instant, associations: all)])
    }

    /// No read can be too old for an association: a change of it need not touch the record's modified date.
    @Test func anAssociationIsReadFromBothEnds() {
        var change = event(.associationChange)
        change.from = RecordKey(.contacts, "1")
        change.to = RecordKey(.deals, "2")
        #expect(
            wishes(change) == [
                RecordKey(.contacts, "1"): wish(associations: [.deals]), RecordKey(.deals, "2"): wish(associations: [.contacts]),
            ])
        change.to = RecordKey(.contacts, "2")
        #expect(
            wishes(change) == [
                RecordKey(.contacts, "1"): wish(associations: [.contacts]),
                RecordKey(.contacts, "2"): wish(associations: [.contacts]),
            ])
    }

    @Test func anAssociationWithOneMirroredEndLooksAtThatEnd() {
        var change = event(.associationChange, .deals, id: "1")
        change.from = RecordKey(.deals, "1")
        #expect(wishes(change) == [RecordKey(.deals, "1"): wish()])
        change.from = nil
        change.to = RecordKey(.contacts, "9")
        #expect(wishes(change) == [RecordKey(.contacts, "9"): wish()])
        change.to = nil
        #expect(wishes(change) == [RecordKey(.deals, "1"): wish()])
    }

    @Test(arguments: WebhookEvent.Verb.allCases) func anotherAccountsEventAsksForALookOnly(verb: WebhookEvent.Verb) {
        var foreign = event(verb, .contacts)
        foreign.mergedIds = ["7"]
        let keys = Set(wishes(foreign).keys)
        foreign.isForeign = true
        let looks = wishes(foreign)
        #expect(Set(looks.keys) == keys && looks.values.allSatisfy { !$0.isErasure && $0.mergedIds.isEmpty })
    }

    /// Wishes of several events for one record add up: nothing that one of them asked for is forgotten.
    @Test func wishesAddUp() {
        var sum = wish(changedAt: Timestamp(milliseconds: 5), associations: [.deals])
        sum.add(wish(changedAt: Timestamp(milliseconds: 3), associations: [.companies], mergedIds: ["7"]))
        sum.add(wish())
        #expect(sum == wish(changedAt: Timestamp(milliseconds: 5), associations: [.deals, .companies], mergedIds: ["7"]))
        var erasure = RecordQueue.Wish()
        erasure.isErasure = true
        sum.add(erasure)
        sum.add(wish(changedAt: Timestamp(milliseconds: 9)))
        #expect(sum.isErasure && sum.changedAt == Timestamp(milliseconds: 9))
    }
}
