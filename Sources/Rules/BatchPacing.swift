/// Decides when what has gathered is read as a batch, so that calls need not wait for the rate limit: one that waits gathers nothing.
/// A value: time is passed in, nothing waits here.
///
/// What comes in after a lull goes at once, then batches go as fast as calls come back.
///
/// Batches start when something comes in, unless nothing does for long: one that starts by itself leaves out what comes in the moment
/// after. With ten deliveries for every six calls, six of them wait for nothing and four for the next one; batches that went by the
/// clock would let all wait for half of the spacing in the median.
public struct BatchPacing: Sendable {
    private var spacing = EvenSpacing()

    public init() {}

    /// Whether a batch may start now; if so, it is noted.
    ///
    /// - Parameters:
    ///   - waiting: things that have gathered, at least one.
    ///   - max: of them in a batch.
    ///   - isNews: whether any has come in since this was last asked.
    ///   - limit: the calls that there are.
    ///   - isYielding: batches that are not full go half as often, as others need calls too.
    /// - Returns: how long to wait before asking again, unless something comes in before; nil: it starts.
    public mutating func pause(
        waiting: Int, max: Int, isNews: Bool, limit: RateLimit, isYielding: Bool = false, at now: Duration
    ) -> Duration? {
        // Some are ahead of their turn after a lull, and still all that hold a slot at any time are no more than the limit.
        let ahead = Swift.max(limit.calls / 40, min(4, (limit.calls + 3) / 4))
        let even = EvenSpacing.between(limit.calls, ahead: ahead, per: limit.interval)
        let isFull = waiting >= max
        let turn = isFull ? limit.interval / limit.calls : isYielding ? even * 2 : even
        // A burst names the same things again and again: to write them as fast as they come takes MongoDB's time from the deliveries
        // that still arrive.
        let earliest = spacing.earliest(turn, ahead: waiting > max ? 0 : ahead - 1)
        let latest = isFull ? earliest : earliest + even
        guard earliest <= now, isNews || latest <= now else { return latest - now }
        spacing.start(turn, at: now)
        return nil
    }
}
