extension [String] {
    /// Ids by their numbers. HubSpot's order differs from endpoint to endpoint, and would make equal lists look changed.
    var inIdOrder: [String] {
        count < 2 ? self : sorted { $0.utf8.count == $1.utf8.count ? $0 < $1 : $0.utf8.count < $1.utf8.count }
    }

    /// A sorted list with each id once.
    var withoutRepetition: [String] {
        guard count > 1 else { return self }
        return indices.filter { $0 == 0 || self[$0] != self[$0 - 1] }.map { self[$0] }
    }
}
