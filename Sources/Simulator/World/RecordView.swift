import Model

/// Which properties of a record an answer shows, resolved once for all records of a page.
struct RecordView: Sendable {
    enum Source: Sendable {
        case id, createdAt, updatedAt, merged
        case seeded(Int)
        /// Defined after the start, so only changed records have it.
        case changed
        case alwaysNull
    }

    /// Holds nothing that is counted: a page has ten thousand of them to look at.
    struct Column: Sendable {
        /// Place among `names`.
        let place: Int
        let source: Source
        /// Where `,"name":null` stands in `text`.
        let range: Range<Int>
    }

    private(set) var columns: [Column] = []
    private(set) var history: [Column] = []
    private(set) var names: [String] = []
    private(set) var text: [UInt8] = []
    /// Associated types to be listed within the record.
    var associations: [RecordType] = []

    /// - Parameter names: the requested properties; nil: HubSpot's default set. Unknown names are left out.
    init(_ names: [String]?, history: [String] = [], shelf: Shelf, isSearch: Bool = false) {
        let type = shelf.type
        let always = ["createdate", "hs_object_id", type.modifiedProperty]
        let defaults: [String] =
            switch type {
            case .contacts: ["email", "firstname", "lastname"]
            case .companies: ["name", "domain"]
            case .deals: ["dealname", "amount", "closedate", "pipeline", "dealstage"]
            }
        columns = add((names ?? defaults) + always, shelf: shelf, isSearch: isSearch)
        self.history = add(history, shelf: shelf, isSearch: isSearch)
    }

    private mutating func add(_ requested: [String], shelf: Shelf, isSearch: Bool) -> [Column] {
        var columns: [Column] = []
        for name in Set(requested.map { $0.lowercased() }).sorted() {
            guard let definition = shelf.catalog[name] else { continue }
            let source: Source =
                switch definition.filler {
                case .id: .id
                case .createdAt: .createdAt
                case .updatedAt: .updatedAt
                default:
                    if isSearch, shelf.type == .contacts, name == "hs_merged_object_ids" {
                        .alwaysNull
                    } else if ["hs_merged_object_ids", "hs_calculated_merged_vids", "hs_all_contact_vids"].contains(name) {
                        .merged
                    } else if let index = shelf.catalog.seededIndex(of: name) {
                        .seeded(index)
                    } else {
                        .changed
                    }
                }
            let start = text.count
            text.append(UInt8(ascii: ","))
            text += definition.key
            text += "null".utf8
            columns.append(Column(place: names.count, source: source, range: start..<text.count))
            names.append(name)
        }
        return columns
    }
}
