import Model
import NIOConcurrencyHelpers

extension World {
    /// More hits than these are counted but cannot be reached.
    static let searchReach = 10_000

    /// Ids on one page of a search, the number of all hits, and the records as the index knows them.
    func search(_ type: RecordType, _ query: SearchQuery, after: Int, limit: Int) -> (entries: [Entry], total: Int) {
        let now = now()
        return state.withLockedValue { state in
            let lag = state.searchLagMs
            let version = state.shelves[type]!.version
            var result: SearchCache.Result
            if lag == 0, let last = state.searches.last[type], last.version == version, last.query == query {
                result = last
            } else {
                let found = state.shelves[type]!.find(
                    query, asOf: now - lag, shelves: state.shelves, associations: state.associations)
                result = SearchCache.Result(query: query, version: version, ids: found.ids, total: found.total)
                state.searches.last[type] = result
            }
            let page = result.ids.dropFirst(after).prefix(limit)
            return (page.compactMap { state.shelves[type]!.indexed($0, asOf: now - lag) }, result.total)
        }
    }
}

extension Shelf {
    /// The record as the search index knew it at `time`; nil when it did not show it.
    func indexed(_ id: Int64, asOf time: Int64) -> Entry? {
        guard var entry = entry(id) else { return nil }
        if let past = entry.past.first(where: { $0.until > time }) {
            guard let state = past.state else { return nil }
            entry.state = state
        }
        return entry.state.fate == .live ? entry : nil
    }

    /// The first 10,000 hits in order, and the number of all.
    func find(
        _ query: SearchQuery, asOf time: Int64, shelves: [RecordType: Shelf], associations: Associations
    ) -> (ids: [Int64], total: Int) {
        let sort = SortKey.Kind(query.sort, shelf: self)
        var hits: [(key: SortKey, id: Int64)] = []
        var total = 0
        func ascends(_ a: (key: SortKey, id: Int64), _ b: (key: SortKey, id: Int64)) -> Bool {
            if a.key == b.key { return a.id < b.id }
            if a.key == .none || b.key == .none { return b.key == .none }
            return query.isDescending ? b.key < a.key : a.key < b.key
        }
        let groups = query.groups.map { $0.map { PreparedFilter($0, shelf: self) } }
        /// The worst hit that can still be reached, once there are more than that.
        var worst: (key: SortKey, id: Int64)?
        func consider(_ entry: Entry) {
            guard groups.isEmpty || groups.contains(where: { $0.allSatisfy { matches($0, entry, shelves, associations) } }),
                query.text.isEmpty || contains(query.text, entry)
            else { return }
            total += 1
            let hit = (key: SortKey(sort, entry, shelf: self), id: entry.id)
            if let worst, ascends(worst, hit) { return }
            hits.append(hit)
            // Keeping only what can be reached bounds the memory of a search over a million records.
            if hits.count >= 4 * World.searchReach {
                hits.sort(by: ascends)
                hits.removeLast(hits.count - World.searchReach)
                worst = hits.last
            }
        }
        let bounds = groups.map(Bounds.init)
        let range = bounds.isEmpty ? Bounds() : bounds.dropFirst().reduce(bounds[0]) { $0.union($1) }
        if range.updatedFrom <= SeededRecords.horizon {
            var index = seeds.firstIndex(notBelow: range.idFrom)
            while index < seeds.count {
                let id = seeds.id(index)
                if id > range.idTo { break }
                if entries[id] == nil { consider(seededEntry(index, id: id)) }
                index += 1
            }
        }
        for id in entries.keys where id >= range.idFrom && id <= range.idTo {
            if let entry = indexed(id, asOf: time) { consider(entry) }
        }
        hits.sort(by: ascends)
        return (hits.prefix(World.searchReach).map(\.id), total)
    }

    private func contains(_ text: String, _ entry: Entry) -> Bool {
        let names: [String] =
            switch type {
            case .contacts: ["email", "firstname", "lastname", "phone", "company"]
            case .companies: ["name", "domain", "phone", "website"]
            case .deals: ["dealname", "description", "dealstage"]
            }
        return names.contains { value($0, of: entry)?.lowercased().contains(text) ?? false }
    }

    private func matches(
        _ filter: PreparedFilter, _ entry: Entry, _ shelves: [RecordType: Shelf], _ associations: Associations
    ) -> Bool {
        switch filter.target {
        case .id: return filter.matches(number: Double(entry.id))
        case .createdAt where entry.state.changes.isEmpty: return filter.matches(number: Double(entry.state.createdAt))
        case .updatedAt: return filter.matches(number: Double(entry.state.updatedAt))
        case .nothing: return filter.matchesMissing
        case .association(let other):
            let ids = associations.links(type, entry.id, other, shelves: shelves).map { String($0.id) }
            return ids.isEmpty ? filter.matchesMissing : ids.contains { filter.matches(text: $0) }
        case .createdAt, .number, .instant, .text, .choice:
            guard let value = value(filter.property, of: entry) else { return filter.matchesMissing }
            return filter.matches(value: value)
        }
    }
}

/// The ids and times that a group of filters can match at all.
private struct Bounds {
    var idFrom: Int64 = 0
    var idTo: Int64 = .max
    var updatedFrom: Int64 = 0

    init() {}

    init(_ filters: [PreparedFilter]) {
        for filter in filters {
            switch filter.target {
            case .id:
                if let low = filter.lowest { idFrom = max(idFrom, low) }
                if let high = filter.highest { idTo = min(idTo, high) }
            case .updatedAt: if let low = filter.lowest { updatedFrom = max(updatedFrom, low) }
            default: break
            }
        }
    }

    func union(_ other: Bounds) -> Bounds {
        var both = self
        both.idFrom = min(idFrom, other.idFrom)
        both.idTo = max(idTo, other.idTo)
        both.updatedFrom = min(updatedFrom, other.updatedFrom)
        return both
    }
}
