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

    struct Column: Sendable {
        let name: String
        let key: [UInt8]
        let source: Source
    }

    private(set) var columns: [Column] = []
    private(set) var history: [Column] = []
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
        columns = RecordView.columns((names ?? defaults) + always, shelf: shelf, isSearch: isSearch)
        self.history = RecordView.columns(history, shelf: shelf, isSearch: isSearch)
    }

    private static func columns(_ names: [String], shelf: Shelf, isSearch: Bool) -> [Column] {
        Set(names.map { $0.lowercased() }).sorted().compactMap { name in
            guard let definition = shelf.catalog[name] else { return nil }
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
            return Column(name: name, key: definition.key, source: source)
        }
    }
}
