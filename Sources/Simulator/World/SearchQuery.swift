/// What a search asks for, without the page.
struct SearchQuery: Sendable, Hashable {
    /// Any group may match; all filters of it must.
    var groups: [[SearchFilter]] = []
    var sort: String?
    var isDescending = false
    /// Looked for in the main text properties; lower case.
    var text = ""
}
