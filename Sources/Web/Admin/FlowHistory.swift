import Model

/// The last hour of this instance in steps of half a minute: changes that waited, webhooks that came. What the charts show.
struct FlowHistory: Sendable {
    static let step: Duration = .seconds(30)
    static let stepsMax = 120

    struct Step: Sendable, Equatable {
        /// Since 1970, in steps.
        let number: Int64
        /// The most changes that waited at once.
        var backlog = 0
        var events = 0
        /// Webhook requests that were refused.
        var rejected = 0
    }

    /// Oldest first, the last one still growing.
    private(set) var steps: [Step] = []
    /// When the first note was.
    private(set) var startedAt: Timestamp?
    private var last: (events: Int, rejected: Int)?

    /// - Parameters:
    ///   - backlog: changes that wait now.
    ///   - events: all webhook events since the start of the instance.
    ///   - rejected: all refused requests since then.
    mutating func note(backlog: Int, events: Int, rejected: Int, at now: Timestamp) {
        let number = now.milliseconds / FlowHistory.step.milliseconds
        startedAt = startedAt ?? now
        // A clock that was set back goes on in the last step.
        if steps.last.map({ $0.number < number }) ?? true { steps.append(Step(number: number)) }
        let index = steps.count - 1
        steps[index].backlog = max(steps[index].backlog, backlog)
        steps[index].events += max(0, events - (last?.events ?? 0))
        steps[index].rejected += max(0, rejected - (last?.rejected ?? 0))
        last = (events, rejected)
        steps.removeAll { $0.number <= number - Int64(FlowHistory.stepsMax) }
    }

    /// Refused webhook requests of the hour.
    var rejected: Int { steps.reduce(0) { $0 + $1.rejected } }

    /// `stepsMax` values, the last one that of `now`; zero for steps without a note.
    func values(_ value: (Step) -> Int, at now: Timestamp) -> [Int] {
        var values = Array(repeating: 0, count: FlowHistory.stepsMax)
        for step in steps { if let place = place(of: step.number, at: now) { values[place] = value(step) } }
        return values
    }

    /// How many of these values are from before the first note, so that nothing is known of them.
    func unknown(at now: Timestamp) -> Int {
        startedAt.map { place(of: $0.milliseconds / FlowHistory.step.milliseconds, at: now) ?? 0 } ?? FlowHistory.stepsMax
    }

    /// nil: too long ago. The clock may have been set back since: the last place then.
    private func place(of number: Int64, at now: Timestamp) -> Int? {
        let place = number - now.milliseconds / FlowHistory.step.milliseconds + Int64(FlowHistory.stepsMax) - 1
        return place < 0 ? nil : Int(min(place, Int64(FlowHistory.stepsMax - 1)))
    }
}

/// Values as bars in a box of 240 by 40, the scale its highest value.
struct BarChart {
    static let height = 40.0

    let max: Int
    /// An SVG path.
    let path: String
    /// The path of the area of which nothing is known; empty: there is none.
    let unknown: String

    /// - Parameter unknown: how many of the first values stand for nothing.
    init(_ values: [Int], unknown: Int = 0) {
        let max = values.max() ?? 0
        let width = 240 / Double(Swift.max(1, values.count))
        func number(_ value: Double) -> String { "\((value * 100).rounded() / 100)" }
        path = values.enumerated().filter { $0.element > 0 }.map { index, value in
            // What is not nothing is seen.
            let height = Swift.max(1, Double(value) / Double(Swift.max(1, max)) * (BarChart.height - 1))
            return "M\(number(Double(index) * width)) \(number(BarChart.height))v-\(number(height))h\(number(width * 0.8))v\(number(height))z"
        }.joined()
        self.max = max
        self.unknown = unknown > 0 ? "M0 0h\(number(Double(unknown) * width))v\(number(BarChart.height))H0z" : ""
    }
}
