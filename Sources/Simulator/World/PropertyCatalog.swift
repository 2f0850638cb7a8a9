import Model

/// The property definitions of one type, sorted by name.
struct PropertyCatalog: Sendable {
    /// Those that seeded records have values for; never changes, so that a seeded value depends on nothing but the seed.
    let seeded: [PropertyDefinition]
    private(set) var all: [PropertyDefinition]
    private var seededIndexes: [String: Int] = [:]
    private var indexes: [String: Int] = [:]

    /// - Parameters:
    ///   - standard: HubSpot's own definitions at most, but for those that every record has a value for.
    ///   - custom: definitions beyond HubSpot's own.
    init(type: RecordType, standard: Int, custom: Int) {
        let own = PropertyCatalog.standard(type)
        var definitions = own.filter(\.isCore)
        definitions += own.filter { !$0.isCore }.prefix(max(0, standard - definitions.count))
        definitions += (0..<max(0, custom)).map { PropertyCatalog.custom($0, type: type) }
        definitions.sort { $0.name < $1.name }
        seeded = definitions
        all = definitions
        for (index, definition) in definitions.enumerated() { seededIndexes[definition.name] = index }
        indexes = seededIndexes
    }

    subscript(name: String) -> PropertyDefinition? { indexes[name].map { all[$0] } }

    func seededIndex(of name: String) -> Int? { seededIndexes[name] }

    /// - Returns: false when the name is taken.
    mutating func add(_ definition: PropertyDefinition) -> Bool {
        guard indexes[definition.name] == nil else { return false }
        let place = all.firstIndex { definition.name < $0.name } ?? all.count
        all.insert(definition, at: place)
        for index in place..<all.count { indexes[all[index].name] = index }
        return true
    }

    /// - Returns: false when there is no such definition, or seeded records need it.
    mutating func remove(_ name: String) -> Bool {
        guard let place = indexes[name], seededIndexes[name] == nil else { return false }
        all.remove(at: place)
        indexes[name] = nil
        for index in place..<all.count { indexes[all[index].name] = index }
        return true
    }

    private static func custom(_ number: Int, type: RecordType) -> PropertyDefinition {
        let digits = String(number)
        let name = "custom_" + String(repeating: "0", count: max(0, 4 - digits.utf8.count)) + digits
        let kinds: [(type: String, field: String, filler: PropertyDefinition.Filler, suffix: String)] = [
            ("string", "text", .text, "_note"), ("number", "number", .number, "_figure_of_the_last_quarter"),
            ("enumeration", "checkbox", .choices, "_interests"), ("date", "date", .date, "_renewal_date"),
            ("bool", "booleancheckbox", .bool, "_is_confirmed"), ("datetime", "date", .dateTime, "_seen_at"),
            ("string", "textarea", .text, "_description_for_the_sales_department"), ("enumeration", "select", .choice, "_tier"),
        ]
        let kind = kinds[number % kinds.count]
        var definition = PropertyDefinition(
            name: name + kind.suffix, label: "Custom \(number)", type: kind.type, fieldType: kind.field,
            groupName: type.singular + "information",
            options: kind.filler == .choice || kind.filler == .choices ? options : kind.filler == .bool ? yesNo : [],
            filler: kind.filler)
        definition.hubspotDefined = false
        return definition
    }

    private static let options: [PropertyDefinition.Option] = [
        .init(value: "option_1", label: "First"), .init(value: "Zweite Möglichkeit", label: "Zweite Möglichkeit"),
        .init(value: "3", label: "Third, with a comma"), .init(value: "true", label: "Not a Boolean"),
    ]
    static let yesNo: [PropertyDefinition.Option] = [.init(value: "true", label: "Yes"), .init(value: "false", label: "No")]
}
