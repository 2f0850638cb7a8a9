import Metrics
import Testing

@testable import Web

@Suite struct PrometheusMetricsTests {
    let metrics = PrometheusMetrics(version: "1.2.3", help: ["webhook.events": "Events received\nwith \\ in it"])

    /// The lines of one metric, without those of the process.
    func lines(_ name: String) -> [String] {
        metrics.text().split(separator: "\n").map(String.init)
            .filter { $0.hasPrefix("hubspot_sync_\(name)") || $0.contains(" hubspot_sync_\(name) ") }
    }

    // MARK: Kinds

    @Test func aCounterRisesByWhatItIsTold() {
        let counter = Counter(label: "webhook.events", dimensions: [("type", "contact"), ("outcome", "ok")], factory: metrics)
        counter.increment()
        counter.increment(by: 41)
        counter.increment(by: -5)
        #expect(
            lines("webhook_events_total") == [
                #"# HELP hubspot_sync_webhook_events_total Events received\nwith \\ in it"#,
                "# TYPE hubspot_sync_webhook_events_total counter",
                #"hubspot_sync_webhook_events_total{outcome="ok",type="contact"} 42"#,
            ])
    }

    @Test func aCounterNeitherOverflowsNorLosesWholeSteps() {
        let counter = Counter(label: "large", factory: metrics)
        counter.increment(by: Int64(1) << 53)
        counter.increment()
        #expect(lines("large_total").last == "hubspot_sync_large_total 9007199254740993")
        counter.increment(by: Int64.max)
        #expect(lines("large_total").last == "hubspot_sync_large_total \(Int64.max)")
        counter.reset()
        #expect(lines("large_total").last == "hubspot_sync_large_total 0")
    }

    @Test func aFloatingPointCounterAddsFractions() {
        let counter = FloatingPointCounter(label: "waited", factory: metrics)
        for amount in [0.5, 0.25, -1, .nan, .infinity] { counter.increment(by: amount) }
        #expect(lines("waited_total").last == "hubspot_sync_waited_total 0.75")
    }

    @Test func aMeterAndAGaugeShowTheirLastValue() {
        let meter = Meter(label: "tasks.queued", factory: metrics)
        meter.set(10)
        meter.increment(by: 2.5)
        meter.decrement(by: 1)
        Gauge(label: "budget", factory: metrics).record(-3)
        #expect(
            lines("tasks_queued") == [
                "# HELP hubspot_sync_tasks_queued tasks.queued", "# TYPE hubspot_sync_tasks_queued gauge",
                "hubspot_sync_tasks_queued 11.5",
            ])
        #expect(lines("budget").last == "hubspot_sync_budget -3")
    }

    @Test func aTimerIsAHistogramOfSeconds() {
        let timer = Timer(label: "answer", dimensions: [("route", "/x")], factory: metrics)
        timer.recordNanoseconds(1_000_000)  // exactly a bound, which is inclusive
        timer.recordMilliseconds(20)
        timer.recordSeconds(4000)
        let lines = lines("answer_seconds")
        #expect(lines[1] == "# TYPE hubspot_sync_answer_seconds histogram")
        #expect(lines[2] == #"hubspot_sync_answer_seconds_bucket{le="0.001",route="/x"} 1"#)
        #expect(lines.contains(#"hubspot_sync_answer_seconds_bucket{le="0.01",route="/x"} 1"#))
        #expect(lines.contains(#"hubspot_sync_answer_seconds_bucket{le="0.025",route="/x"} 2"#))
        #expect(lines.contains(#"hubspot_sync_answer_seconds_bucket{le="1800",route="/x"} 2"#))
        #expect(lines.contains(#"hubspot_sync_answer_seconds_bucket{le="+Inf",route="/x"} 3"#))
        #expect(
            lines.suffix(2) == [
                #"hubspot_sync_answer_seconds_sum{route="/x"} 4000.021"#, #"hubspot_sync_answer_seconds_count{route="/x"} 3"#,
            ])
    }

    @Test func aRecorderIsAHistogramOfSizes() {
        let recorder = Recorder(label: "batch.records", factory: metrics)
        recorder.record(100)
        recorder.record(Double.nan)
        let lines = lines("batch_records")
        #expect(lines.contains(#"hubspot_sync_batch_records_bucket{le="50"} 0"#))
        #expect(lines.contains(#"hubspot_sync_batch_records_bucket{le="100"} 1"#))
        #expect(lines.last == "hubspot_sync_batch_records_count 1")
    }

    // MARK: Identity

    @Test func theSameLabelsAreTheSameSeriesInAnyOrder() {
        Counter(label: "c", dimensions: [("a", "1"), ("b", "2")], factory: metrics).increment()
        Counter(label: "c", dimensions: [("b", "2"), ("a", "1")], factory: metrics).increment()
        Counter(label: "c", dimensions: [("a", "2"), ("b", "2")], factory: metrics).increment()
        #expect(lines("c_total").suffix(2) == [#"hubspot_sync_c_total{a="1",b="2"} 2"#, #"hubspot_sync_c_total{a="2",b="2"} 1"#])
    }

    @Test func aDestroyedSeriesIsGoneAndItsNeighbourStays() {
        let gone = Counter(label: "c", dimensions: [("a", "1")], factory: metrics)
        Counter(label: "c", dimensions: [("a", "2")], factory: metrics).increment()
        gone.destroy()
        #expect(lines("c_total").dropFirst(2) == [#"hubspot_sync_c_total{a="2"} 1"#])
    }

    @Test func oneNameForTwoKindsKeepsTheFirst() {
        Gauge(label: "x_total", factory: metrics).record(7)
        Counter(label: "x", factory: metrics).increment()
        Counter(label: "x", dimensions: [("a", "1")], factory: metrics).increment()
        #expect(lines("x_total").dropFirst() == ["# TYPE hubspot_sync_x_total gauge", "hubspot_sync_x_total 7"])
    }

    @Test func labelValuesWithoutEndAreAddedUpUnderOther() {
        for value in 0..<1_000 { Counter(label: "c", dimensions: [("id", "\(value)")], factory: metrics).increment() }
        let samples = lines("c_total").dropFirst(2)
        let refused = 1_000 - PrometheusMetrics.seriesMax
        #expect(samples.count == PrometheusMetrics.seriesMax + 1)
        #expect(samples.contains("hubspot_sync_c_total{id=\"other\"} \(refused)"))
        #expect(lines("metrics_series_refused_total").last == "hubspot_sync_metrics_series_refused_total \(refused)")
    }

    // MARK: Text

    @Test func whateverALabelHoldsOneSampleIsOneLine() {
        Counter(label: "odd name-1é", dimensions: [("le", "a\"b\\c\nd"), ("1 x", "ü")], factory: metrics).increment()
        #expect(lines("odd_name_1").last == #"hubspot_sync_odd_name_1___total{_1_x="ü",le_="a\"b\\c\nd"} 1"#)
    }

    /// Every line is a comment or a sample, and every sample stands under the type of its metric.
    @Test func theWholeTextIsWellFormed() throws {
        Counter(label: "a", dimensions: [("x", "1"), ("y", "2")], factory: metrics).increment()
        Timer(label: "b", factory: metrics).recordSeconds(1)
        Gauge(label: "c", factory: metrics).record(Double.infinity)
        let pair = #"[a-zA-Z_][a-zA-Z0-9_]*="[^"]*""#
        let sample = try Regex(#"([a-zA-Z_:][a-zA-Z0-9_:]*)(\{\#(pair)(,\#(pair))*\})? (-?[0-9.e+-]+|[+-]Inf|NaN)"#)
        let text = metrics.text()
        #expect(text.hasSuffix("\n"))
        var current = ""
        for line in text.dropLast().split(separator: "\n", omittingEmptySubsequences: false) {
            if line.hasPrefix("# TYPE ") {
                current = String(line.split(separator: " ")[2])
            } else if !line.hasPrefix("# HELP ") {
                let match = try #require(try sample.wholeMatch(in: line), "\(line)")
                #expect(match.output[1].substring?.hasPrefix(current) == true, "\(line) under \(current)")
            }
        }
        #expect(text.contains("\nhubspot_sync_build_info{version=\"1.2.3\"} 1\n"))
        #expect(text.contains("\nprocess_resident_memory_bytes "))
    }

    @Test func manyTasksCountWithoutLoss() async {
        let metrics = metrics
        await withDiscardingTaskGroup { group in
            for task in 0..<8 {
                group.addTask {
                    for _ in 0..<1_000 {
                        Counter(label: "c", dimensions: [("parity", "\(task % 2)")], factory: metrics).increment()
                        Timer(label: "t", factory: metrics).recordNanoseconds(1)
                    }
                }
            }
        }
        #expect(
            lines("c_total").suffix(2) == [#"hubspot_sync_c_total{parity="0"} 4000"#, #"hubspot_sync_c_total{parity="1"} 4000"#])
        #expect(lines("t_seconds").last == "hubspot_sync_t_seconds_count 8000")
    }
}
