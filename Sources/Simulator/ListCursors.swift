/// What the cursor of a list says. HubSpot's documentation shows the first by an example and promises nothing.
public enum ListCursors: Sendable, CaseIterable {
    /// The id of the next record.
    case nextId
    /// The id of the last record of the page.
    case lastId
    /// Something that only HubSpot can read.
    case opaque

    private static let mark = "NTI1Cg"

    func cursor(last: Int64, next: Int64) -> String {
        switch self {
        case .nextId: String(next)
        case .lastId: String(last)
        case .opaque: ListCursors.mark + String(next, radix: 36)
        }
    }

    /// The least id of the page behind `cursor`; nil for what is none.
    func start(_ cursor: String) -> Int64? {
        switch self {
        case .nextId: Int64(cursor).flatMap { $0 >= 0 ? $0 : nil }
        case .lastId: Int64(cursor).flatMap { $0 >= 0 ? $0 + 1 : nil }
        case .opaque: cursor.hasPrefix(ListCursors.mark) ? Int64(cursor.dropFirst(ListCursors.mark.count), radix: 36) : nil
        }
    }
}
