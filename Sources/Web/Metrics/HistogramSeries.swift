import Metrics
import NIOConcurrencyHelpers

/// How many values fell below each of some bounds.
final class HistogramSeries: MetricSeries, TimerHandler, RecorderHandler {
    /// For durations: from a database call to a long sync.
    static let seconds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800]
    /// For counts and sizes: from one record to a body of many megabytes.
    static let sizes = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 1e4, 1e5, 1e6, 1e7]

    private struct State {
        /// By bound, not added up; the last is for what is above them all.
        var counts: [Int]
        var sum = 0.0
    }

    private let bounds: [Double]
    private let state: NIOLockedValueBox<State>

    /// - Parameter bounds: ascending.
    init(bounds: [Double]) {
        self.bounds = bounds
        state = NIOLockedValueBox(State(counts: Array(repeating: 0, count: bounds.count + 1)))
    }

    func recordNanoseconds(_ duration: Int64) { record(Double(duration) / 1e9) }

    func record(_ value: Int64) { record(Double(value)) }

    func record(_ value: Double) {
        guard !value.isNaN else { return }
        let index = bounds.firstIndex { value <= $0 } ?? bounds.count
        state.withLockedValue {
            $0.counts[index] += 1
            $0.sum += value
        }
    }

    func append(to text: inout PrometheusText, name: String, labels: [String: String]) {
        let state = state.withLockedValue { $0 }
        var total = 0
        for (bound, count) in zip(bounds + [.infinity], state.counts) {
            total += count
            text.sample(name + "_bucket", labels.merging(["le": PrometheusText.number(bound)]) { $1 }, String(total))
        }
        text.sample(name + "_sum", labels, PrometheusText.number(state.sum))
        text.sample(name + "_count", labels, String(total))
    }
}
