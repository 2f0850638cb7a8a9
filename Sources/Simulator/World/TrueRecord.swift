/// A record as it really is, to compare a mirror with.
public struct TrueRecord: Sendable, Equatable {
    public let id: Int64
    /// All properties of the type; nil: no value.
    public let properties: [String: String?]
    /// Milliseconds since 1970.
    public let createdAt: Int64
    public let updatedAt: Int64
    public let archived: Bool
    public let archivedAt: Int64?
    public let mergedIds: [Int64]
}
