/// What to search for. Property lists stay short: HubSpot limits the body of a search to 3,000 characters.
///
/// - Source: platform page, section 5.6.
public struct SearchQuery: Sendable, Equatable {
    public enum Operator: String, Sendable {
        case equal = "EQ"
        case notEqual = "NEQ"
        case less = "LT"
        case lessOrEqual = "LTE"
        case greater = "GT"
        case greaterOrEqual = "GTE"
        case between = "BETWEEN"
        case hasProperty = "HAS_PROPERTY"
        case hasNoProperty = "NOT_HAS_PROPERTY"
        case containsToken = "CONTAINS_TOKEN"
    }

    /// Values are strings; an instant is its milliseconds since 1970 in digits.
    public struct Filter: Sendable, Equatable {
        public let property: String
        public let comparison: Operator
        public let value: String?
        /// The upper end of `.between`.
        public let highValue: String?

        public init(_ property: String, _ comparison: Operator, _ value: String? = nil, highValue: String? = nil) {
            self.property = property
            self.comparison = comparison
            self.value = value
            self.highValue = highValue
        }
    }

    /// Groups are alternatives (at most 5); the filters of a group must all hold (at most 6, and 18 in total).
    public var groups: [[Filter]]
    /// HubSpot heeds one.
    public var sortedBy: String?
    public var isAscending: Bool
    /// Beside the type's default properties.
    public var properties: [String]
    /// 1...200.
    public var limit: Int
    /// The cursor of the page before. Beyond 10,000 hits HubSpot refuses.
    public var after: String?

    public init(
        groups: [[Filter]] = [], sortedBy: String? = nil, isAscending: Bool = true, properties: [String] = [], limit: Int = 200,
        after: String? = nil
    ) {
        self.groups = groups
        self.sortedBy = sortedBy
        self.isAscending = isAscending
        self.properties = properties
        self.limit = limit
        self.after = after
    }

    public static let limitMax = 200
    /// Hits that paging can reach.
    public static let hitsMax = 10_000
}
