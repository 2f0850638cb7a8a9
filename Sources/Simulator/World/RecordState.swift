/// What is known of a record beyond its seeded values.
struct RecordState: Sendable {
    enum Fate: Sendable, Equatable {
        case live, archived
        /// Another record resulted from a merge; its id.
        case merged(Int64)
        /// Deleted for privacy: nothing is left.
        case purged
    }

    var fate = Fate.live
    var createdAt: Int64
    var updatedAt: Int64
    var archivedAt: Int64?
    /// Values that differ from the seeded ones; an empty string is a cleared value.
    var changes: [String: String] = [:]
    /// Ids merged into this record, oldest merge first, with the time of the merge.
    var merged: [(id: Int64, at: Int64)] = []
}
