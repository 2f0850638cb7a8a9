internal import Rules

extension HubSpotClient {
    /// For whoever waits for an answer: whether HubSpot is better left alone now, as the latest calls of all got none.
    ///
    /// Asking is what makes one call in `outagePause` look whether it is back. Work in the background needs no such look: it waits
    /// between its attempts by itself, and what it hears counts here too.
    ///
    /// - Returns: how long not to ask; nil when a call is worth it.
    public func outage() async -> Duration? {
        switch await limiter.decideOutage() {
        case .call: return nil
        case .avoid(let wait): return wait
        case .avoidAndProbe(let wait):
            // For all who ask meanwhile, so it belongs to none of them; what it hears is noted like any other answer.
            Task {
                _ = try? await account(as: .live)
                await limiter.probeEnded()
            }
            return wait
        }
    }
}
