/// Spreads starts evenly over time, some of them ahead of their turn after a lull: the generic cell rate algorithm (GCRA), which is
/// a token bucket in one instant. A value: time is passed in.
///
/// Instants are durations since any fixed instant of a clock that does not go back.
public struct EvenSpacing: Sendable {
    /// When the next start would be, had none been ahead of its turn.
    private var turn: Duration = .zero

    public init() {}

    /// The spacing at which calls use up what there is just when the first slots are free again, a hundredth of the interval being how long
    /// a call mostly takes. Used up faster, slots would come back as unevenly one interval later and ever after, with a while between
    /// them in which nobody finds any.
    ///
    /// - Parameters:
    ///   - calls: slots that there are.
    ///   - ahead: of them, those for starts ahead of their turn.
    public static func between(_ calls: Int, ahead: Int, per interval: Duration) -> Duration {
        (interval + interval / 100) / max(1, calls - ahead)
    }

    /// When the next start may be.
    ///
    /// - Parameters:
    ///   - spacing: between two starts.
    ///   - ahead: starts that may be ahead of their turn.
    public func earliest(_ spacing: Duration, ahead: Int) -> Duration { turn - spacing * ahead }

    /// Notes a start at `now`; `spacing` after it is the next turn.
    public mutating func start(_ spacing: Duration, at now: Duration) { turn = max(turn, now) + spacing }
}
