import Model

/// The result of the last search of each type, so that its next pages cost nothing while nothing changes.
struct SearchCache: Sendable {
    struct Result: Sendable {
        let query: SearchQuery
        let version: Int
        let ids: [Int64]
        let total: Int
    }

    var last: [RecordType: Result] = [:]
}
