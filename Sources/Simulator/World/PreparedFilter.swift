import Model

/// A filter with its values read once.
struct PreparedFilter {
    enum Target {
        case id, createdAt, updatedAt
        case number, instant, text, choice
        case association(RecordType)
        /// A name that finds nothing without being an error, such as the modified property of another type.
        case nothing
    }

    let property: String
    let operation: SearchFilter.Operator
    let target: Target
    private let value: String
    private let number: Double?
    private let highNumber: Double?
    private let highValue: String
    private let values: Set<String>
    private let numbers: Set<Double>

    init(_ filter: SearchFilter, shelf: Shelf) {
        property = filter.property
        operation = filter.operation
        if property.hasPrefix("associations."),
            let type = RecordType(pathName: String(property.dropFirst(13)), allowsSingular: true)
        {
            target = .association(type)
        } else if let definition = shelf.catalog[property] {
            switch (definition.filler, definition.type) {
            case (.id, _): target = .id
            case (.createdAt, _): target = .createdAt
            case (.updatedAt, _): target = .updatedAt
            case (_, "number"): target = .number
            case (_, "date"), (_, "datetime"): target = .instant
            case (_, "enumeration"), (_, "bool"): target = .choice
            default: target = .text
            }
        } else {
            target = .nothing
        }
        let target = target
        number = PreparedFilter.number(filter.value, target)
        highNumber = PreparedFilter.number(filter.highValue, target)
        numbers = Set(filter.values.compactMap { PreparedFilter.number($0, target) })
        if case .choice = target {
            value = filter.value
            highValue = filter.highValue
        } else {
            value = filter.value.lowercased()
            highValue = filter.highValue.lowercased()
        }
        values = Set(filter.values)
    }

    private static func number(_ text: String, _ target: Target) -> Double? {
        switch target {
        case .createdAt, .updatedAt, .instant: Timestamp(property: text).map { Double($0.milliseconds) }
        default: Double(text)
        }
    }

    var matchesMissing: Bool {
        if case .nothing = target { return false }
        switch operation {
        case .NEQ, .NOT_IN, .NOT_HAS_PROPERTY, .NOT_CONTAINS_TOKEN: return true
        default: return false
        }
    }

    func matches(value text: String) -> Bool {
        switch target {
        case .number: Double(text).map(matches(number:)) ?? matches(text: text)
        case .instant, .createdAt, .updatedAt:
            Timestamp(property: text).map { matches(number: Double($0.milliseconds)) } ?? false
        default: matches(text: text)
        }
    }

    func matches(number own: Double) -> Bool {
        switch operation {
        case .HAS_PROPERTY: true
        case .NOT_HAS_PROPERTY: false
        case .EQ: own == number
        case .NEQ: own != number
        case .LT: number.map { own < $0 } ?? false
        case .LTE: number.map { own <= $0 } ?? false
        case .GT: number.map { own > $0 } ?? false
        case .GTE: number.map { own >= $0 } ?? false
        case .BETWEEN: number.map { own >= $0 } ?? false && highNumber.map { own <= $0 } ?? false
        case .IN: numbers.contains(own)
        case .NOT_IN: !numbers.contains(own)
        case .CONTAINS_TOKEN: own == number
        case .NOT_CONTAINS_TOKEN: own != number
        }
    }

    func matches(text original: String) -> Bool {
        var parts = [original]
        if case .choice = target {
            parts = original.split(separator: ";").map(String.init)
        } else {
            parts = [original.lowercased()]
        }
        let own = parts.joined(separator: ";")
        switch operation {
        case .HAS_PROPERTY: return true
        case .NOT_HAS_PROPERTY: return false
        case .EQ: return parts.contains(value) || own == value
        case .NEQ: return !(parts.contains(value) || own == value)
        case .LT: return own < value
        case .LTE: return own <= value
        case .GT: return own > value
        case .GTE: return own >= value
        case .BETWEEN: return own >= value && own <= highValue
        case .IN: return parts.contains { values.contains($0) }
        case .NOT_IN: return !parts.contains { values.contains($0) }
        case .CONTAINS_TOKEN: return hasToken(own)
        case .NOT_CONTAINS_TOKEN: return !hasToken(own)
        }
    }

    /// A word of the text equals the value, which may begin or end with `*`.
    private func hasToken(_ text: String) -> Bool {
        let core = value.split(separator: "*").joined(separator: "*")
        let words = [text[...]] + text.split { !$0.isLetter && !$0.isNumber }
        return words.contains { word in
            switch (value.hasPrefix("*"), value.hasSuffix("*")) {
            case (true, true): word.contains(core)
            case (true, false): word.hasSuffix(core)
            case (false, true): word.hasPrefix(core)
            case (false, false): word == core
            }
        }
    }

    /// The lowest number that can match, if the filter has one.
    var lowest: Int64? {
        switch operation {
        case .EQ, .GTE, .GT, .BETWEEN: number.map { Int64(clamping: $0.rounded(.up)) }
        case .IN: numbers.min().map { Int64(clamping: $0) }
        default: nil
        }
    }

    var highest: Int64? {
        switch operation {
        case .EQ, .LTE, .LT: number.map { Int64(clamping: $0) }
        case .BETWEEN: highNumber.map { Int64(clamping: $0) }
        case .IN: numbers.max().map { Int64(clamping: $0) }
        default: nil
        }
    }
}

extension Int64 {
    fileprivate init(clamping number: Double) {
        self = number.isNaN ? 0 : number >= 9e18 ? .max : number <= -9e18 ? .min : Int64(number)
    }
}
