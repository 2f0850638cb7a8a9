import Model

/// Who belongs to whom. Seeded pairs follow from the indexes of the records: contact i and company i mod n, deal i with both.
struct Associations: Sendable {
    struct Link: Sendable {
        let id: Int64
        let types: [AssociationType]
    }

    private struct Direction: Hashable, Sendable {
        let from: RecordType
        let to: RecordType
    }

    /// Pairs that differ from the seeded ones, in both directions; no types: removed.
    private var changed: [Direction: [Int64: [Int64: [AssociationType]]]] = [:]

    /// The live records that a record is associated with, in order of ids.
    func links(_ from: RecordType, _ id: Int64, _ to: RecordType, shelves: [RecordType: Shelf]) -> [Link] {
        let own = changed[Direction(from: from, to: to)]?[id] ?? [:]
        var links: [Link] = []
        if let entry = shelves[from]!.entry(id), entry.state.fate == .live, let index = shelves[from]!.seeds.index(of: id) {
            let seeds = shelves[to]!.seeds
            for other in Associations.seeded(from, index, to, shelves: shelves) {
                let otherId = seeds.id(other.index)
                guard own[otherId] == nil, shelves[to]!.entries[otherId].map({ $0.state.fate == .live }) ?? true else { continue }
                links.append(Link(id: otherId, types: other.types))
            }
        }
        guard !own.isEmpty else { return links }
        for (otherId, types) in own where !types.isEmpty && shelves[to]!.live(otherId) != nil {
            links.append(Link(id: otherId, types: types))
        }
        links.sort { $0.id < $1.id }
        return links
    }

    /// - Returns: the labels that the pair did not have.
    mutating func add(
        _ from: RecordType, _ fromId: Int64, _ to: RecordType, _ toId: Int64, _ types: [AssociationType],
        shelves: [RecordType: Shelf]
    ) -> [AssociationType] {
        let old = links(from, fromId, to, shelves: shelves).first { $0.id == toId }?.types ?? []
        var all = types
        let unlabeled = AssociationType.unlabeled(from, to)
        if !all.contains(unlabeled) { all.append(unlabeled) }
        let added = all.filter { !old.contains($0) }
        guard !added.isEmpty else { return [] }
        // One primary company a record.
        if added.contains(where: \.isPrimary), to == .companies {
            for link in links(from, fromId, to, shelves: shelves) where link.types.contains(where: \.isPrimary) {
                put(from, fromId, to, link.id, link.types.filter { !$0.isPrimary })
            }
        }
        put(from, fromId, to, toId, (old + added).sorted { $0.id < $1.id })
        return added
    }

    /// - Returns: the labels that the pair had.
    mutating func remove(
        _ from: RecordType, _ fromId: Int64, _ to: RecordType, _ toId: Int64, shelves: [RecordType: Shelf]
    ) -> [AssociationType] {
        guard let old = links(from, fromId, to, shelves: shelves).first(where: { $0.id == toId }) else { return [] }
        put(from, fromId, to, toId, [])
        return old.types
    }

    /// Gives the associations of a merged record to the survivor, without their primary labels.
    mutating func move(_ type: RecordType, from old: Int64, to new: Int64, shelves: [RecordType: Shelf]) {
        for other in RecordType.allCases {
            for link in links(type, old, other, shelves: shelves) where other != type || link.id != new {
                let has = changed[Direction(from: type, to: other)]?[new]?[link.id] ?? []
                // Only towards companies is there one primary a record; a company may be the primary one of many.
                let hasPrimary =
                    other == .companies
                    && changed[Direction(from: type, to: other)]?[new]?.values.contains { $0.contains(where: \.isPrimary) } ?? false
                let moved = link.types.filter { !has.contains($0) && (!$0.isPrimary || !hasPrimary) }
                put(type, new, other, link.id, (has + moved).sorted { $0.id < $1.id })
            }
        }
    }

    mutating func forget(_ type: RecordType, _ id: Int64) {
        for other in RecordType.allCases { changed[Direction(from: type, to: other)]?[id] = nil }
    }

    private mutating func put(_ from: RecordType, _ fromId: Int64, _ to: RecordType, _ toId: Int64, _ types: [AssociationType]) {
        changed[Direction(from: from, to: to), default: [:]][fromId, default: [:]][toId] = types
        changed[Direction(from: to, to: from), default: [:]][toId, default: [:]][fromId] = types.map {
            $0.reversed(from: from, to: to)
        }
    }

    // MARK: Seeded

    private static func seeded(
        _ from: RecordType, _ index: Int, _ to: RecordType, shelves: [RecordType: Shelf]
    ) -> [(index: Int, types: [AssociationType])] {
        let contacts = shelves[.contacts]!.seeds.count
        let companies = shelves[.companies]!.seeds.count
        let deals = shelves[.deals]!.seeds.count
        let types = [AssociationType.primary(from, to), AssociationType.unlabeled(from, to)].compactMap(\.self)
        func all(_ start: Int, _ step: Int, _ end: Int, _ keep: (Int) -> Bool = { _ in true }) -> [(
            index: Int, types: [AssociationType]
        )] {
            step > 0 && start < step ? stride(from: start, to: end, by: step).filter(keep).map { ($0, types) } : []
        }
        switch (from, to) {
        case (.contacts, .companies): return companies > 0 && index % 5 != 4 ? [(index % companies, types)] : []
        case (.companies, .contacts): return all(index, companies, contacts) { $0 % 5 != 4 }
        case (.deals, .contacts): return contacts > 0 ? [(index % contacts, types)] : []
        case (.contacts, .deals): return all(index, contacts, deals)
        case (.deals, .companies): return companies > 0 && index % 3 != 2 ? [(index % companies, types)] : []
        case (.companies, .deals): return all(index, companies, deals) { $0 % 3 != 2 }
        default: return []
        }
    }
}
