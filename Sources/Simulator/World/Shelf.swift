import Model

/// All records of one type: the seeded ones, and on top of them what was touched since.
struct Shelf: Sendable {
    let type: RecordType
    let seeds: SeededRecords
    var catalog: PropertyCatalog
    var entries: [Int64: Entry] = [:]
    /// Ids of records made since the start, ascending; all are higher than the seeded ones.
    var created: [Int64] = []
    /// Ids in the recycle bin, ascending.
    var archived: [Int64] = []
    var liveCount: Int
    /// Emails (lower case) set since the start.
    var emails: [String: Int64] = [:]
    var externalIds: [String: Int64] = [:]
    var nextId: Int64 = SeededRecords.idsEnd + 17
    /// Changes with every change.
    var version = 0

    init(type: RecordType, count: Int, settings: SimulatorSettings) {
        self.type = type
        let catalog = PropertyCatalog(type: type, standard: settings.standardProperties, custom: settings.customProperties)
        self.catalog = catalog
        seeds = SeededRecords(
            type: type, count: count, seed: settings.seed, properties: catalog.seeded, valuesPerRecord: settings.propertiesPerRecord
        )
        liveCount = count
    }

    /// The record under this id, whatever became of it; nil when the id was never given.
    func entry(_ id: Int64) -> Entry? {
        if let entry = entries[id] { return entry }
        guard let index = seeds.index(of: id) else { return nil }
        return seededEntry(index, id: id)
    }

    func seededEntry(_ index: Int, id: Int64) -> Entry {
        Entry(id: id, base: index, state: RecordState(createdAt: seeds.createdAt(index), updatedAt: seeds.updatedAt(index)))
    }

    /// The record that the id leads to now, merges followed.
    func resolved(_ id: Int64) -> Entry? {
        var entry = entry(id)
        while let current = entry, case .merged(let survivor) = current.state.fate { entry = self.entry(survivor) }
        return entry
    }

    /// The record that the id led to at `time`, as far as earlier states are kept.
    func resolved(_ id: Int64, asOf time: Int64) -> Entry? {
        var entry = entry(id)
        while var current = entry {
            if let past = current.past.first(where: { $0.until > time }) {
                guard let state = past.state else { return nil }
                current.state = state
            }
            guard case .merged(let survivor) = current.state.fate else { return current }
            entry = self.entry(survivor)
        }
        return nil
    }

    func live(_ id: Int64) -> Entry? {
        guard let entry = entry(id), entry.state.fate == .live else { return nil }
        return entry
    }

    /// Calls `body` with live records of at least this id in order of ids until it returns false.
    func forEachLive(from id: Int64, includingArchived: Bool = false, _ body: (Entry) -> Bool) {
        func isShown(_ entry: Entry) -> Bool { entry.state.fate == .live || (includingArchived && entry.state.fate == .archived) }
        var index = seeds.firstIndex(notBelow: id)
        while index < seeds.count {
            let id = seeds.id(index)
            if let entry = entries[id] {
                if isShown(entry), !body(entry) { return }
            } else if !body(seededEntry(index, id: id)) {
                return
            }
            index += 1
        }
        for id in created[created.lowerBound(id)...] {
            if let entry = entries[id], isShown(entry), !body(entry) { return }
        }
    }

    // MARK: Values

    /// The value of a property now; nil when it has none.
    func value(_ name: String, of entry: Entry) -> String? {
        value(name, base: entry.base, id: entry.id, state: entry.state)
    }

    func value(_ name: String, base: Int?, id: Int64, state: RecordState) -> String? {
        guard let definition = catalog[name] else { return nil }
        switch definition.filler {
        case .id: return String(id)
        case .updatedAt: return Instant.text(state.updatedAt)
        case .createdAt where state.changes[name] == nil: return Instant.text(state.createdAt)
        default: break
        }
        if name == "hs_merged_object_ids", !state.merged.isEmpty {
            return state.merged.map { String($0.id) }.joined(separator: ";")
        }
        if name == "hs_calculated_merged_vids", !state.merged.isEmpty {
            return state.merged.map { "\($0.id):\($0.at)" }.joined(separator: ";")
        }
        if name == "hs_all_contact_vids", type == .contacts {
            return ([id] + state.merged.map(\.id)).map(String.init).joined(separator: ";")
        }
        if let change = state.changes[name] { return change.isEmpty ? nil : change }
        guard let base, let index = catalog.seededIndex(of: name) else { return nil }
        return seeds.value(index, of: base)
    }

    /// The live record that holds a unique value.
    func holder(of value: String, property name: String) -> Entry? {
        switch name {
        case "hs_object_id": return Int64(value).flatMap(live)
        case "email" where type == .contacts:
            return holder(value.lowercased(), name: name, overlay: emails, filler: .email)
        case "external_id": return holder(value, name: name, overlay: externalIds, filler: .externalId)
        default: return nil
        }
    }

    private func holder(
        _ value: String, name: String, overlay: [String: Int64], filler: PropertyDefinition.Filler
    ) -> Entry? {
        if let id = overlay[value], let entry = resolved(id), entry.state.fate == .live,
            self.value(name, of: entry)?.lowercased() == value.lowercased()
        {
            return entry
        }
        guard let index = seeds.index(ofUnique: filler, value), let entry = resolved(seeds.id(index)), entry.state.fate == .live,
            self.value(name, of: entry)?.lowercased() == value.lowercased()
        else { return nil }
        return entry
    }
}

extension [Int64] {
    /// The place of the first element that is not less than `value`, in an ascending array.
    func lowerBound(_ value: Int64) -> Int {
        var low = 0
        var high = count
        while low < high {
            let middle = (low + high) / 2
            if self[middle] < value { low = middle + 1 } else { high = middle }
        }
        return low
    }

    mutating func insertSorted(_ value: Int64) {
        let place = lowerBound(value)
        if place == count || self[place] != value { insert(value, at: place) }
    }

    mutating func removeSorted(_ value: Int64) {
        let place = lowerBound(value)
        if place < count, self[place] == value { remove(at: place) }
    }
}
