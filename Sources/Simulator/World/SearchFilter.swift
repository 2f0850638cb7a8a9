/// One condition of a search.
struct SearchFilter: Sendable, Hashable {
    enum Operator: String, Sendable {
        case LT, LTE, GT, GTE, EQ, NEQ, BETWEEN, IN, NOT_IN, HAS_PROPERTY, NOT_HAS_PROPERTY, CONTAINS_TOKEN, NOT_CONTAINS_TOKEN
    }

    let property: String
    let operation: Operator
    var value = ""
    var highValue = ""
    var values: [String] = []
}
