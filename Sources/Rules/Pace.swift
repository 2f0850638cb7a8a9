/// How fast a run goes and when it will end.
public struct Pace: Sendable, Equatable {
    /// Records a second since the start; 0 before anything is done.
    public let perSecond: Double
    /// Time left at that rate; nil while the total or the rate is unknown.
    public let remaining: Duration?
    /// 0...1; nil while the total is unknown. A total that proved too small counts as reached.
    public let fraction: Double?

    /// - Parameters:
    ///   - processed: records done so far.
    ///   - total: records that there are, if known.
    ///   - elapsed: time since the start.
    public init(processed: Int, total: Int?, elapsed: Duration) {
        let seconds = Double(elapsed.components.seconds) + Double(elapsed.components.attoseconds) * 1e-18
        perSecond = seconds > 0 ? Double(processed) / seconds : 0
        guard let total else {
            remaining = nil
            fraction = nil
            return
        }
        fraction = total <= processed ? 1 : Double(processed) / Double(total)
        if total <= processed {
            remaining = .zero
        } else if perSecond > 0 {
            remaining = .seconds(Double(total - processed) / perSecond)
        } else {
            remaining = nil
        }
    }
}
