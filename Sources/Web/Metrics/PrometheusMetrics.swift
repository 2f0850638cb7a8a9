public import Metrics
import NIOConcurrencyHelpers

/// Keeps what the program counts and measures, and prints it in Prometheus' text format 0.0.4.
///
/// Counters become counters (`…_total`), meters and gauges become gauges, timers become histograms in seconds (`…_seconds`), recorders
/// histograms. A label such as `webhook.events` is named `hubspot_sync_webhook_events_total`.
///
/// The memory is bounded: a metric has at most `seriesMax` combinations of label values. What comes after that is added up under
/// the value `other` of every label, and counted in `hubspot_sync_metrics_series_refused_total`.
public final class PrometheusMetrics: MetricsFactory {
    public static let contentType = "text/plain; version=0.0.4; charset=utf-8"

    /// Far above what the program's own labels can make (types × outcomes), far below what hurts.
    static let seriesMax = 200

    private let prefix: String
    private let help: [String: String]
    private let version: String
    private let registry = NIOLockedValueBox(Registry())

    private struct Registry {
        var families: [String: MetricFamily] = [:]
        var refused: Int64 = 0
    }

    /// - Parameters:
    ///   - version: of the program, for `build_info`.
    ///   - help: a sentence for a label of ours, for `# HELP`; a label without one is its own explanation.
    public init(version: String, help: [String: String] = [:], prefix: String = "hubspot_sync_") {
        self.version = version
        self.help = help
        self.prefix = prefix
    }

    // MARK: Printing

    /// All metrics and the figures of the process, sorted by name, as `/metrics` answers them.
    public func text() -> String {
        let (families, refused) = registry.withLockedValue { ($0.families, $0.refused) }
        var text = PrometheusText()
        for (_, family) in families.sorted(by: { $0.key < $1.key }) { text.append(family) }
        text.append(
            "\(prefix)metrics_series_refused_total", .counter, "Label combinations that were added up under 'other'",
            value: Double(refused))
        text.append("\(prefix)build_info", .gauge, "Version of the program", labels: ["version": version], value: 1)
        if let process = ProcessFigures.now() { text.append(process) }
        return text.text
    }

    // MARK: MetricsFactory

    public func makeCounter(label: String, dimensions: [(String, String)]) -> any CounterHandler {
        series(label, "_total", .counter, dimensions) { CounterSeries() }
    }

    public func makeFloatingPointCounter(label: String, dimensions: [(String, String)]) -> any FloatingPointCounterHandler {
        series(label, "_total", .counter, dimensions) { CounterSeries() }
    }

    public func makeMeter(label: String, dimensions: [(String, String)]) -> any MeterHandler {
        series(label, "", .gauge, dimensions) { GaugeSeries() }
    }

    public func makeRecorder(label: String, dimensions: [(String, String)], aggregate: Bool) -> any RecorderHandler {
        if aggregate {
            series(label, "", .histogram, dimensions) { HistogramSeries(bounds: HistogramSeries.sizes) }
        } else {
            series(label, "", .gauge, dimensions) { GaugeSeries() }
        }
    }

    public func makeTimer(label: String, dimensions: [(String, String)]) -> any TimerHandler {
        series(label, "_seconds", .histogram, dimensions) { HistogramSeries(bounds: HistogramSeries.seconds) }
    }

    public func destroyCounter(_ handler: any CounterHandler) { forget(handler) }
    public func destroyFloatingPointCounter(_ handler: any FloatingPointCounterHandler) { forget(handler) }
    public func destroyMeter(_ handler: any MeterHandler) { forget(handler) }
    public func destroyRecorder(_ handler: any RecorderHandler) { forget(handler) }
    public func destroyTimer(_ handler: any TimerHandler) { forget(handler) }

    // MARK: Registry

    /// The series of this name and these labels, made if it is not there.
    private func series<S: MetricSeries>(
        _ label: String, _ suffix: String, _ kind: MetricKind, _ dimensions: [(String, String)], make: () -> S
    ) -> S {
        var name = PrometheusText.name(label)
        if !name.hasPrefix(prefix) { name = prefix + name }
        if !name.hasSuffix(suffix) { name += suffix }
        var labels: [String: String] = [:]
        for (key, value) in dimensions { labels[PrometheusText.labelName(key)] = value }

        return registry.withLockedValue { registry in
            var family = registry.families[name] ?? MetricFamily(name: name, kind: kind, help: help[label] ?? label)
            if family.series[labels] == nil && family.series.count >= Self.seriesMax {
                labels = labels.mapValues { _ in "other" }
                registry.refused += 1
            }
            if let known = family.series[labels] {
                // One name used for two kinds is a mistake of ours; the later one is kept out of the text rather than the program down.
                return known as? S ?? make()
            }
            guard family.kind == kind else { return make() }
            let made = make()
            family.series[labels] = made
            registry.families[name] = family
            return made
        }
    }

    private func forget(_ handler: AnyObject) {
        registry.withLockedValue { registry in
            for (name, family) in registry.families {
                guard let labels = family.series.first(where: { $0.value === handler })?.key else { continue }
                registry.families[name]?.series[labels] = nil
                if family.series.count == 1 { registry.families[name] = nil }
            }
        }
    }
}
