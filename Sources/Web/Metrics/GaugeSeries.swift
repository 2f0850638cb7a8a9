import Metrics
import NIOConcurrencyHelpers

/// The last value.
final class GaugeSeries: MetricSeries, MeterHandler, RecorderHandler {
    private let value = NIOLockedValueBox(0.0)

    func set(_ value: Int64) { set(Double(value)) }
    func set(_ value: Double) { self.value.withLockedValue { $0 = value } }
    func increment(by amount: Double) { value.withLockedValue { $0 += amount } }
    func decrement(by amount: Double) { value.withLockedValue { $0 -= amount } }

    func record(_ value: Int64) { set(value) }
    func record(_ value: Double) { set(value) }

    func append(to text: inout PrometheusText, name: String, labels: [String: String]) {
        text.sample(name, labels, PrometheusText.number(value.withLockedValue { $0 }))
    }
}
