import Model

/// What search results are sorted by.
enum SortKey: Equatable, Comparable {
    case number(Double)
    case text(String)
    /// Records without a value come last, whatever the direction.
    case none

    enum Kind {
        case id, createdAt, updatedAt
        case property(String, isNumber: Bool, isInstant: Bool)

        /// Without a sort: oldest first.
        init(_ name: String?, shelf: Shelf) {
            guard let name, let definition = shelf.catalog[name] else {
                self = .createdAt
                return
            }
            switch definition.filler {
            case .id: self = .id
            case .createdAt: self = .createdAt
            case .updatedAt: self = .updatedAt
            default:
                self = .property(
                    name, isNumber: definition.type == "number",
                    isInstant: definition.type == "date" || definition.type == "datetime")
            }
        }
    }

    init(_ kind: Kind, _ entry: Entry, shelf: Shelf) {
        switch kind {
        case .id: self = .number(Double(entry.id))
        case .createdAt: self = .number(Double(entry.state.createdAt))
        case .updatedAt: self = .number(Double(entry.state.updatedAt))
        case .property(let name, let isNumber, let isInstant):
            guard let value = shelf.value(name, of: entry) else {
                self = .none
                return
            }
            if isNumber {
                self = Double(value).map(SortKey.number) ?? .none
            } else if isInstant {
                self = Timestamp(property: value).map { .number(Double($0.milliseconds)) } ?? .none
            } else {
                self = .text(value.lowercased())
            }
        }
    }
}
