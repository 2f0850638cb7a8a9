/// What is left of the account's quota for the day, as the headers told it last, and who has to stop before it is used up.
///
/// All apps of the account share the quota. Tokens without one (OAuth) never hear of it, and nobody is held then.
public struct DailyQuota: Sendable {
    /// nil before the headers have told it.
    public private(set) var limit: Int?
    public private(set) var remaining: Int?
    /// When what was told is out of date: the account's day has ended, or it is time to ask again by one call.
    private var validUntil: Duration = .zero

    public init() {}

    /// - Parameter reset: when the account's day ends, if known.
    public mutating func observe(limit: Int, remaining: Int, reset: Duration?, at now: Duration) {
        guard (1...1_000_000_000).contains(limit), remaining >= 0 else { return }
        self.limit = limit
        self.remaining = remaining
        validUntil = now + RateBudget.dailyProbe
        if let reset { validUntil = min(validUntil, reset) }
    }

    /// Until when no call of that class starts, since what is left of the day belongs to more urgent ones; nil: calls may start.
    ///
    /// It never lasts longer than `RateBudget.dailyProbe`: another app's packs of calls, or a midnight that came earlier than we
    /// think, are found out by the calls that then start.
    public func hold(for callClass: CallClass, at now: Duration) -> Duration? {
        guard let limit, let remaining, validUntil > now else { return nil }
        return remaining < limit * callClass.dailyReservePercent / 100 ? validUntil : nil
    }
}
