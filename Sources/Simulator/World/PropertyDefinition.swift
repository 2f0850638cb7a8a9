import Bytes

/// One property of a type, as the properties API describes it, and how seeded records fill it.
struct PropertyDefinition: Sendable {
    struct Option: Sendable {
        let value: String
        let label: String
    }

    /// Where a seeded record's value comes from.
    enum Filler: Sendable {
        case id, createdAt, updatedAt
        case email, externalId, firstName, lastName, organisation, domain, dealName, phone
        case text, longText, number, integer, money, bool, date, dateTime, choice, choices, owner, stage, pipeline, address
        case never
    }

    let name: String
    let label: String
    let type: String
    let fieldType: String
    let groupName: String
    var description = ""
    var options: [Option] = []
    var hasUniqueValue = false
    var calculated = false
    var externalOptions = false
    var hubspotDefined = true
    var hidden = false
    var filler = Filler.never
    /// Every seeded record has a value.
    var isCore = false
    /// Unset for definitions that have been there from the start.
    var createdAt: Int64?

    /// `"name":`
    let key: [UInt8]
    /// The options' values, escaped and quoted for JSON.
    private(set) var choices: [[UInt8]] = []

    init(
        name: String, label: String, type: String, fieldType: String, groupName: String, options: [Option] = [],
        filler: Filler = .never, isCore: Bool = false
    ) {
        self.name = name
        self.label = label
        self.type = type
        self.fieldType = fieldType
        self.groupName = groupName
        self.options = options
        self.filler = filler
        self.isCore = isCore
        key = JSONText.quoted(name) + [UInt8(ascii: ":")]
        choices = options.map { Array($0.value.utf8) }
    }

    var isReadOnly: Bool { calculated || filler == .id || filler == .updatedAt }
}
