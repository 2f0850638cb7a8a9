public import Model
import NIOConcurrencyHelpers

/// What users, imports and other integrations do to records. Every change tells the webhook subscribers.
extension World {
    // MARK: Records

    @discardableResult
    public func create(_ type: RecordType, _ properties: [String: String], source: String = "CRM_UI") throws(WorldError) -> Int64 {
        try change { (state, events) throws(WorldError) in
            let now = now()
            try state.shelves[type]!.check(properties, for: nil)
            let id = state.shelves[type]!.takeId()
            var record = RecordState(createdAt: now, updatedAt: now)
            record.changes = properties.filter { !$0.value.isEmpty }
            state.shelves[type]!.insert(Entry(id: id, state: record), now: now, lag: state.keptMs)
            for name in properties.keys.sorted() where !(properties[name] ?? "").isEmpty {
                events.append(
                    WorldEvent(
                        type: type, id: id, occurredAt: now,
                        verb: .propertyChange(name: name, value: state.shelves[type]!.told(name, properties[name] ?? "")),
                        source: source))
            }
            // HubSpot has been seen to send the creation last.
            events.append(WorldEvent(type: type, id: id, occurredAt: now, verb: .creation, source: source))
            return id
        }
    }

    /// Sets values; an empty string clears one. A merged id leads to its survivor.
    ///
    /// - Returns: the id of the record that was changed.
    @discardableResult
    public func update(
        _ type: RecordType, _ id: Int64, _ properties: [String: String], source: String = "CRM_UI"
    ) throws(WorldError) -> Int64 {
        try change { (state, events) throws(WorldError) in
            guard let entry = state.shelves[type]!.resolved(id), entry.state.fate == .live else {
                throw WorldError(kind: .notFound)
            }
            try state.shelves[type]!.check(properties, for: entry.id)
            state.set(properties, of: type, entry, at: stamp(entry), source: source, lag: state.keptMs, events: &events)
            return entry.id
        }
    }

    /// Moves a live record to the recycle bin.
    public func archive(_ type: RecordType, _ id: Int64, source: String = "CRM_UI") throws(WorldError) {
        try change { (state, events) throws(WorldError) in
            guard var entry = state.shelves[type]!.live(id) else { throw WorldError(kind: .notFound) }
            let now = now()
            entry.state.fate = .archived
            entry.state.archivedAt = now
            state.shelves[type]!.replace(entry, now: now, lag: state.keptMs)
            events.append(WorldEvent(type: type, id: id, occurredAt: now, verb: .deletion, source: source))
        }
    }

    /// Takes a record out of the recycle bin. Refused while another contact holds its email.
    public func restore(_ type: RecordType, _ id: Int64) throws(WorldError) {
        try change { (state, events) throws(WorldError) in
            guard var entry = state.shelves[type]!.entry(id), entry.state.fate == .archived else {
                throw WorldError(kind: .notFound)
            }
            if type == .contacts, let email = state.shelves[type]!.value("email", of: entry),
                let holder = state.shelves[type]!.holder(of: email, property: "email")
            {
                throw WorldError(kind: .conflict(existing: holder.id))
            }
            let now = stamp(entry)
            entry.state.fate = .live
            entry.state.archivedAt = nil
            entry.state.updatedAt = now
            state.shelves[type]!.replace(entry, now: now, lag: state.keptMs)
            events.append(WorldEvent(type: type, id: id, occurredAt: now, verb: .restore, source: "CRM_UI"))
        }
    }

    /// Deletes a contact for good, live or in the recycle bin.
    public func gdprDelete(_ id: Int64) throws(WorldError) {
        try change { (state, events) throws(WorldError) in
            guard let entry = state.shelves[.contacts]!.entry(id), entry.state.fate == .live || entry.state.fate == .archived else {
                throw WorldError(kind: .notFound)
            }
            let now = now()
            var gone = Entry(id: id, base: nil, state: RecordState(createdAt: entry.state.createdAt, updatedAt: now))
            gone.state.fate = .purged
            gone.past = []
            state.shelves[.contacts]!.replace(gone, now: now, lag: 0)
            state.associations.forget(.contacts, id)
            events.append(WorldEvent(type: .contacts, id: id, occurredAt: now, verb: .privacyDeletion, source: "CRM_UI"))
            events.append(WorldEvent(type: .contacts, id: id, occurredAt: now, verb: .deletion, source: "CRM_UI"))
        }
    }

    /// Merges `other` into `primary`; merged ids lead to their survivors.
    ///
    /// - Returns: the id of the result: a third one, or the primary's when `mergeKeepsPrimary`.
    @discardableResult
    public func merge(_ type: RecordType, primary: Int64, other: Int64) throws(WorldError) -> Int64 {
        try change { (state, events) throws(WorldError) in
            guard let first = state.shelves[type]!.resolved(primary), let second = state.shelves[type]!.resolved(other),
                first.id != second.id, first.state.fate == .live, second.state.fate == .live
            else { throw WorldError(kind: .notFound) }
            guard first.state.merged.count + second.state.merged.count < 250 else { throw WorldError(kind: .tooManyMerges) }
            let now = max(stamp(first), stamp(second))
            let moved = state.shelves[type]!.valuesMoved(to: first, from: second)
            let keeps = state.mergeKeepsPrimary
            let id = keeps ? first.id : state.shelves[type]!.takeId()
            var result = keeps ? first : Entry(id: id, base: first.base, state: first.state)
            if !keeps { result.state.merged.append((first.id, now)) }
            result.state.merged += second.state.merged
            result.state.merged.append((second.id, now))
            result.state.createdAt = min(first.state.createdAt, second.state.createdAt)
            result.state.updatedAt = now
            for (name, value) in moved { result.state.changes[name] = value }
            for var gone in keeps ? [second] : [first, second] {
                state.associations.move(type, from: gone.id, to: id, shelves: state.shelves)
                gone.state.fate = .merged(id)
                gone.state.changes = [:]
                state.shelves[type]!.replace(gone, now: now, lag: state.keptMs)
            }
            if keeps {
                state.shelves[type]!.replace(result, now: now, lag: state.keptMs)
            } else {
                state.shelves[type]!.insert(result, now: now, lag: state.keptMs)
            }
            let merge = WorldEvent.Verb.merge(primary: first.id, merged: [second.id], new: id, moved: moved.count)
            events.append(WorldEvent(type: type, id: id, occurredAt: now, verb: merge, source: "CRM_UI"))
            events.append(WorldEvent(type: type, id: second.id, occurredAt: now, verb: .deletion, source: "CRM_UI"))
            return id
        }
    }

    /// Gives up to `count` live records, from `id` on, the same change and the same `updatedAt`, as a bulk edit does.
    ///
    /// - Returns: the changed ids.
    @discardableResult
    public func bulkEdit(_ type: RecordType, count: Int, from id: Int64 = 0, _ properties: [String: String]) throws(WorldError)
        -> [Int64]
    {
        let ids = ids(type, from: id, limit: count)
        return try change { (state, events) throws(WorldError) in
            var time = now()
            var entries: [Entry] = []
            for id in ids {
                guard let entry = state.shelves[type]!.live(id) else { continue }
                entries.append(entry)
                time = max(time, stamp(entry))
            }
            guard let first = entries.first else { return [] }
            try state.shelves[type]!.check(properties, for: entries.count == 1 ? first.id : nil)
            for entry in entries {
                state.set(
                    properties, of: type, entry, at: time, source: "CRM_UI_BULK_ACTION", lag: state.keptMs, events: &events)
            }
            return entries.map(\.id)
        }
    }

    /// Adds a property definition.
    ///
    /// - Returns: false when there is one of that name.
    @discardableResult
    public func defineProperty(
        _ type: RecordType, name: String, label: String? = nil, kind: String = "string", fieldType: String = "text"
    ) -> Bool {
        var definition = PropertyDefinition(
            name: name, label: label ?? name, type: kind, fieldType: fieldType, groupName: type.singular + "information")
        definition.hubspotDefined = false
        definition.createdAt = now()
        return state.withLockedValue { $0.shelves[type]!.catalog.add(definition) }
    }

    // MARK: Associations

    /// Adds a label to a pair; without one, the unlabelled association.
    public func associate(
        _ from: RecordType, _ fromId: Int64, _ to: RecordType, _ toId: Int64, primary: Bool = false
    ) throws(WorldError) {
        var types = [AssociationType.unlabeled(from, to)]
        if primary, let label = AssociationType.primary(from, to) { types.insert(label, at: 0) }
        try associate(from, fromId, to, toId, types: types)
    }

    func associate(
        _ from: RecordType, _ fromId: Int64, _ to: RecordType, _ toId: Int64, types: [AssociationType]
    ) throws(WorldError) {
        try change { (state, events) throws(WorldError) in
            guard let a = state.shelves[from]!.resolved(fromId), let b = state.shelves[to]!.resolved(toId),
                a.state.fate == .live, b.state.fate == .live, from != to || a.id != b.id
            else { throw WorldError(kind: .notFound) }
            let added = state.associations.add(from, a.id, to, b.id, types, shelves: state.shelves)
            state.tell(from, a.id, to, b.id, added, isRemoved: false, at: now(), events: &events)
        }
    }

    /// Removes every association of a pair.
    public func dissociate(_ from: RecordType, _ fromId: Int64, _ to: RecordType, _ toId: Int64) {
        // Nothing in it throws.
        try? change { (state, events) throws(WorldError) in
            let removed = state.associations.remove(from, fromId, to, toId, shelves: state.shelves)
            state.tell(from, fromId, to, toId, removed, isRemoved: true, at: now(), events: &events)
        }
    }

    public func associatedIds(_ from: RecordType, _ id: Int64, to: RecordType) -> [Int64] {
        state.withLockedValue { state in
            guard let entry = state.shelves[from]!.resolved(id) else { return [] }
            return state.associations.links(from, entry.id, to, shelves: state.shelves).map(\.id)
        }
    }

    // MARK: Inside

    /// The time of a change to this record.
    private func stamp(_ entry: Entry) -> Int64 {
        max(now(), entry.state.updatedAt + (settings.distinctUpdateTimes ? 1 : 0))
    }

    private func change<R>(
        _ body: (inout State, inout [WorldEvent]) throws(WorldError) -> R
    ) throws(WorldError) -> R {
        let result: Result<R, WorldError> = state.withLockedValue { state in
            var events: [WorldEvent] = []
            do throws(WorldError) {
                let value = try body(&state, &events)
                if !events.isEmpty { state.sink?(events) }
                return .success(value)
            } catch {
                return .failure(error)
            }
        }
        return try result.get()
    }
}

extension World.State {
    fileprivate mutating func set(
        _ properties: [String: String], of type: RecordType, _ entry: Entry, at time: Int64, source: String, lag: Int64,
        events: inout [WorldEvent]
    ) {
        var entry = entry
        for name in properties.keys.sorted() {
            let value = properties[name] ?? ""
            guard shelves[type]!.value(name, of: entry) ?? "" != value else { continue }
            entry.state.changes[name] = value
            events.append(
                WorldEvent(
                    type: type, id: entry.id, occurredAt: time,
                    verb: .propertyChange(name: name, value: shelves[type]!.told(name, value)), source: source))
        }
        entry.state.updatedAt = time
        shelves[type]!.replace(entry, now: time, lag: lag)
    }

    fileprivate func tell(
        _ from: RecordType, _ fromId: Int64, _ to: RecordType, _ toId: Int64, _ types: [AssociationType], isRemoved: Bool,
        at time: Int64, events: inout [WorldEvent]
    ) {
        for type in types {
            events.append(
                WorldEvent(
                    type: from, id: fromId, occurredAt: time,
                    verb: .associationChange(to: to, toId: toId, link: type, isRemoved: isRemoved), source: "CRM_UI"))
            events.append(
                WorldEvent(
                    type: to, id: toId, occurredAt: time,
                    verb: .associationChange(to: from, toId: fromId, link: type.reversed(from: from, to: to), isRemoved: isRemoved),
                    source: "CRM_UI"))
        }
    }
}
