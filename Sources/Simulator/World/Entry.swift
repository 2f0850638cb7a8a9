/// A record that was touched since the start.
struct Entry: Sendable {
    let id: Int64
    /// Index of the seeded record whose values show where `state.changes` has none; nil for a record made from nothing.
    var base: Int?
    var state: RecordState
    /// Earlier states, oldest first, with the time at which each was replaced; nil: it did not exist. What a lagging index still shows.
    var past: [(until: Int64, state: RecordState?)] = []
}
