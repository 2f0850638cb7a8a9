public import Model

extension WebhookEvent {
    /// What the event asks for: which records to look at, and what has to be true of them afterwards. Nothing for an event that is
    /// not mirrored or names no record.
    public var wishes: [(key: RecordKey, wish: RecordQueue.Wish)] {
        guard isForeign else { return told }
        return told.map { key, wish in
            var look = wish
            look.isErasure = false
            look.mergedIds = []
            return (key, look)
        }
    }

    private var told: [(key: RecordKey, wish: RecordQueue.Wish)] {
        guard let verb else { return [] }
        switch verb {
        case .associationChange: return associationWishes
        case .merge: return mergeWishes
        case .privacyDeletion:
            guard let type, let objectId else { return [] }
            var wish = RecordQueue.Wish()
            wish.isErasure = true
            return [(RecordKey(type, objectId), wish)]
        case .restore:
            guard let type, let objectId else { return [] }
            // What its associations became while it was deleted was not to be read.
            var wish = RecordQueue.Wish(changedAt: occurredAt)
            wish.associations = Set(RecordType.allCases)
            wish.isMutual = true
            return [(RecordKey(type, objectId), wish)]
        case .creation, .deletion, .propertyChange:
            guard let type, let objectId else { return [] }
            return [(RecordKey(type, objectId), RecordQueue.Wish(changedAt: occurredAt))]
        }
    }

    /// The survivor is read again with the associations that it took over, and remembers the others; each of the others is looked up and
    /// found to be the survivor.
    private var mergeWishes: [(key: RecordKey, wish: RecordQueue.Wish)] {
        guard let type, let survivorId else { return [] }
        var others = Set(mergedIds)
        // With a third id the preferred record is merged away too.
        if let primaryId { others.insert(primaryId) }
        others.remove(survivorId)
        var wish = RecordQueue.Wish(changedAt: occurredAt)
        wish.mergedIds = others
        wish.associations = Set(RecordType.allCases)
        wish.isMutual = true
        // Whom the event is about is looked at but not buried: where it is none of those, nothing says that it was merged away.
        if let objectId, objectId != survivorId { others.insert(objectId) }
        return [(RecordKey(type, survivorId), wish)] + others.sorted().map { (RecordKey(type, $0), RecordQueue.Wish()) }
    }

    /// Association changes need not touch the records' modified dates: no read can be too old for them.
    private var associationWishes: [(key: RecordKey, wish: RecordQueue.Wish)] {
        guard let from, let to else {
            // One end is not mirrored, or is not named: the record that is gets a look.
            return (from ?? to ?? type.flatMap { type in objectId.map { RecordKey(type, $0) } }).map { [($0, RecordQueue.Wish())] } ?? []
        }
        return [(from, to), (to, from)].map { key, other in
            var wish = RecordQueue.Wish()
            wish.associations = [other.type]
            return (key, wish)
        }
    }
}
