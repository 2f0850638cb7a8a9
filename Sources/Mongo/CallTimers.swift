import Metrics

/// How long MongoDB takes, for whoever reads the metrics. Made with the connection: a timer that is looked up costs more than one that is
/// kept.
struct CallTimers: Sendable {
    /// The label of the metric.
    enum Kind: String, Sendable {
        case find, aggregate, write, command
    }

    private let find = CallTimers.timer(.find)
    private let aggregate = CallTimers.timer(.aggregate)
    private let write = CallTimers.timer(.write)
    private let command = CallTimers.timer(.command)

    private static func timer(_ kind: Kind) -> Timer {
        Timer(label: "mongodb_call_duration_seconds", dimensions: [("kind", kind.rawValue)])
    }

    func record(_ kind: Kind, _ duration: Duration) {
        let timer =
            switch kind {
            case .find: find
            case .aggregate: aggregate
            case .write: write
            case .command: command
            }
        timer.record(duration: duration)
    }
}
