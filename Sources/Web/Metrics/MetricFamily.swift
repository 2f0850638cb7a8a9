/// What a metric is to Prometheus.
enum MetricKind: String, Sendable {
    case counter, gauge, histogram
}

/// The values of a metric under one combination of labels.
protocol MetricSeries: AnyObject, Sendable {
    /// Appends the sample lines of this series.
    func append(to text: inout PrometheusText, name: String, labels: [String: String])
}

/// All series of one name.
struct MetricFamily: Sendable {
    let name: String
    let kind: MetricKind
    let help: String
    var series: [[String: String]: any MetricSeries] = [:]
}
