import Metrics
import NIOConcurrencyHelpers

/// Only rises, until the program ends or somebody resets it.
final class CounterSeries: MetricSeries, CounterHandler, FloatingPointCounterHandler {
    /// Whole steps apart from fractions: a sum of doubles would stop counting at 2⁵³.
    private let value = NIOLockedValueBox((whole: Int64(0), fraction: 0.0))

    func increment(by amount: Int64) {
        guard amount > 0 else { return }
        value.withLockedValue {
            let (sum, isTooLarge) = $0.whole.addingReportingOverflow(amount)
            $0.whole = isTooLarge ? .max : sum
        }
    }

    func increment(by amount: Double) {
        guard amount > 0, amount.isFinite else { return }
        value.withLockedValue { $0.fraction += amount }
    }

    func reset() { value.withLockedValue { $0 = (0, 0) } }

    func append(to text: inout PrometheusText, name: String, labels: [String: String]) {
        let (whole, fraction) = value.withLockedValue { $0 }
        text.sample(name, labels, fraction == 0 ? String(whole) : PrometheusText.number(Double(whole) + fraction))
    }
}
