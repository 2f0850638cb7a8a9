import Foundation
import Testing

/// The built binary from outside, one test after the other: they measure whole processes. `QUICK=1` makes the volumes smaller.
@Suite(.serialized, .timeLimit(.minutes(10))) struct EndToEnd {
    static let isQuick = ProcessInfo.processInfo.environment["QUICK"] == "1"

    /// Prints figures, so that a test run shows them.
    static func report(_ text: String) { print("figures: \(text)") }
}

extension Duration {
    var inSeconds: Double { Double(components.seconds) + Double(components.attoseconds) / 1e18 }

    /// `12.3 s`.
    var shown: String { String(format: "%.1f s", inSeconds) }
}
