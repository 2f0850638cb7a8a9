import FoundationEssentials
import Glibc

/// Shows how far a long command is: one line redrawn on a terminal, plain lines now and then in a pipe. Writes to standard error,
/// so that standard output holds the result alone.
struct ProgressBar {
    private static let width = 28
    private static let plainEvery: Duration = .seconds(5)

    private let isTerminal = isatty(STDERR_FILENO) == 1
    private let printsLines: Bool
    private var lastPlain: ContinuousClock.Instant?
    private var hasDrawn = false

    /// Whether anybody sees it.
    var isShown: Bool { isTerminal || printsLines }

    /// - Parameter printsLines: whether to print plain lines where there is no terminal; otherwise nothing is printed there.
    init(printsLines: Bool) { self.printsLines = printsLines }

    mutating func show(_ label: String, processed: Int, total: Int?, perSecond: Double, remaining: Duration?) {
        var text = "\(label)  "
        if let total {
            let fraction = total > processed ? Double(processed) / Double(total) : 1
            let filled = Int(fraction * Double(ProgressBar.width))
            if isTerminal {
                text += String(repeating: "█", count: filled) + String(repeating: "░", count: ProgressBar.width - filled) + "  "
            }
            text += "\(Int(fraction * 100)) %  "
        }
        text += "\(processed.grouped)\(total.map { " of \($0.grouped)" } ?? "")  \(Int(perSecond).grouped)/s"
        if let remaining, remaining > .zero { text += "  \(remaining.short) left" }
        if isTerminal {
            hasDrawn = true
            write("\r\u{1B}[K" + text)
        } else if printsLines, lastPlain.map({ .now - $0 >= ProgressBar.plainEvery }) ?? true || remaining == nil {
            lastPlain = .now
            write(text + "\n")
        }
    }

    /// Leaves the bar and goes to a new line.
    func end() { if hasDrawn { write("\n") } }

    private func write(_ text: String) { FileHandleOutput.standardError.write(text) }
}

/// Text to a file descriptor, whole or not at all; a closed pipe is nobody's error here.
struct FileHandleOutput: TextOutputStream {
    static let standardOutput = FileHandleOutput(descriptor: STDOUT_FILENO)
    static let standardError = FileHandleOutput(descriptor: STDERR_FILENO)

    let descriptor: Int32

    func write(_ text: String) {
        var bytes = Array(text.utf8)[...]
        while !bytes.isEmpty {
            let count = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            guard count > 0 else { return }
            bytes = bytes.dropFirst(count)
        }
    }
}

extension Int {
    /// `1,234,567`.
    var grouped: String {
        var text = ""
        for (index, digit) in String(magnitude).reversed().enumerated() {
            if index > 0, index % 3 == 0 { text.append(",") }
            text.append(digit)
        }
        return (self < 0 ? "-" : "") + String(text.reversed())
    }
}

extension Duration {
    /// `850 ms`, `12 s`, `3 min 20 s`, `2 h 05 min`.
    var short: String {
        let seconds = Int(components.seconds)
        switch seconds {
        case ..<1: return "\(components.attoseconds / 1_000_000_000_000_000) ms"
        case ..<60: return "\(seconds) s"
        case ..<3600: return "\(seconds / 60) min \(seconds % 60) s"
        default: return "\(seconds / 3600) h \(seconds / 60 % 60 < 10 ? "0" : "")\(seconds / 60 % 60) min"
        }
    }
}
