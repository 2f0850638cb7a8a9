import Foundation

/// What came of a `Soak`.
public struct SoakResult: Sendable {
    public var loadTook = Duration.zero
    /// Events that happened; those answered 200, repeated ones counted again; those that were never accepted, at the end of all attempts.
    public var events = 0
    public var accepted = 0
    public var givenUp = 0
    /// Events sent again because nobody accepted them.
    public var repeated = 0
    /// Requests that failed, by status, `deadline` or `connection`.
    public var failures: [String: Int] = [:]
    public var kills = 0
    public var failovers: [MongoServer.Failover: Int] = [:]
    public var calls = 0
    public var faults = 0
    /// From the end of all faults until everything was done.
    public var convergedIn = Duration.zero
    /// Differences between mirror and account before any sync: the effect of an accepted event is missing in each.
    public var lost = 0
    /// Differences after a sync that followed.
    public var differing = 0
    public var differences: [String] = []
    public var isSyncClean = false
    public var records = 0
    public var properties = 0
    public var latencyMs: [String: Double] = [:]
    public var memory = SoakMemory()

    /// Whether every promise was kept.
    public var isClean: Bool { lost == 0 && givenUp == 0 && differing == 0 && isSyncClean }

    /// A Markdown table.
    public var table: String {
        func seconds(_ time: Duration) -> String { String(format: "%.1f", Double(time.components.seconds) + Double(time.components.attoseconds) / 1e18) }
        func list(_ counts: [(String, Int)]) -> String { counts.map { "\($0.1) \($0.0)" }.joined(separator: ", ") }
        let failed = list(failures.sorted { $0.key < $1.key }.map { ($0.key, $0.value) })
        let kinds = list(failovers.sorted { $0.key.rawValue < $1.key.rawValue }.map { ($0.key.rawValue, $0.value) })
        let rows = [
            ("seconds of load", seconds(loadTook)),
            ("events sent", "\(events)"),
            ("events accepted, with repeats", "\(accepted)"),
            ("events lost after they were accepted", "\(lost)"),
            ("events never accepted", "\(givenUp)"),
            ("requests not accepted at first", failed.isEmpty ? "0" : failed),
            ("kills of an instance (`kill -9`)", "\(kills)"),
            ("failovers of MongoDB", failovers.isEmpty ? "0" : "\(failovers.values.reduce(0, +)): \(kinds)"),
            ("faulty answers of HubSpot", "\(faults) of \(calls)"),
            ("records compared", "\(records), with \(properties) properties"),
            ("records differing after a sync", isSyncClean ? "\(differing)" : "\(differing), and the sync had errors"),
            ("seconds until everything had arrived", seconds(convergedIn)),
            ("milliseconds to answer a webhook", String(format: "p50 %.1f, p99 %.1f", latencyMs["p50"] ?? .nan, latencyMs["p99"] ?? .nan)),
            ("memory of an instance at most", String(format: "%.0f MB", memory.peak)),
            (
                "memory of each in the last three quarters",
                memory.steady.map { String(format: "%.1f to %.1f MB (±%.1f %%)", $0.min, $0.max, ($0.max - $0.min) / ($0.max + $0.min) * 100) }
                    .joined(separator: ", ")
            ),
        ]
        return (["| | |", "| --- | --- |"] + rows.map { "| \($0.0) | \($0.1) |" }).joined(separator: "\n")
    }
}

/// Megabytes (10⁶ bytes) that instances had resident, looked at again and again.
public struct SoakMemory: Sendable {
    public private(set) var peak = 0.0
    private var samples: [Int: [Double]] = [:]

    /// - Parameter instance: which one, whatever its lives.
    public mutating func note(resident: Double, peak: Double, of instance: Int) {
        samples[instance, default: []].append(resident)
        self.peak = max(self.peak, peak)
    }

    /// Of each instance, without the first quarter of the time, in which buffers and pools fill.
    public var steady: [(min: Double, max: Double)] {
        samples.keys.sorted().compactMap { instance in
            let late = samples[instance, default: []].dropFirst(samples[instance, default: []].count / 4)
            guard let least = late.min(), let most = late.max() else { return nil }
            return (least, most)
        }
    }
}
