/// Prometheus' text format 0.0.4, as it is written.
struct PrometheusText {
    private(set) var text = ""

    mutating func append(_ family: MetricFamily) {
        header(family.name, family.kind, family.help)
        let series = family.series.map { (order: $0.key.sorted { $0.key < $1.key }.flatMap { [$0.key, $0.value] }, entry: $0) }
        for (_, entry) in series.sorted(by: { $0.order.lexicographicallyPrecedes($1.order) }) {
            entry.value.append(to: &self, name: family.name, labels: entry.key)
        }
    }

    /// A metric of one value.
    mutating func append(_ name: String, _ kind: MetricKind, _ help: String, labels: [String: String] = [:], value: Double) {
        header(name, kind, help)
        sample(name, labels, Self.number(value))
    }

    private mutating func header(_ name: String, _ kind: MetricKind, _ help: String) {
        text += "# HELP \(name) \(Self.escape(help, isLabel: false))\n# TYPE \(name) \(kind.rawValue)\n"
    }

    /// - Parameter value: from `number`, or digits.
    mutating func sample(_ name: String, _ labels: [String: String], _ value: String) {
        text += name
        if !labels.isEmpty {
            let pairs = labels.sorted { $0.key < $1.key }.map { "\($0.key)=\"\(Self.escape($0.value, isLabel: true))\"" }
            text += "{\(pairs.joined(separator: ","))}"
        }
        text += " \(value)\n"
    }

    // MARK: Words

    static func number(_ value: Double) -> String {
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value < 0 ? "-Inf" : "+Inf" }
        if let whole = Int64(exactly: value) { return String(whole) }
        return "\(value)"
    }

    /// `label` as a metric's name: letters, digits, `_` and `:`, not beginning with a digit.
    static func name(_ label: String) -> String { word(label, extra: UInt8(ascii: ":")) }

    /// `label` as a label's name; `le` belongs to histograms.
    static func labelName(_ label: String) -> String {
        let name = word(label, extra: UInt8(ascii: "_"))
        return name == "le" ? "le_" : name
    }

    private static func word(_ label: String, extra: UInt8) -> String {
        var bytes = label.utf8.map { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), extra:
                byte
            default: UInt8(ascii: "_")
            }
        }
        if bytes.first.map({ $0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9") }) ?? true {
            bytes.insert(UInt8(ascii: "_"), at: 0)
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    private static func escape(_ text: String, isLabel: Bool) -> String {
        var result = ""
        for character in text.unicodeScalars {
            switch character {
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case "\"" where isLabel: result += "\\\""
            default: result.unicodeScalars.append(character)
            }
        }
        return result
    }
}

extension PrometheusText {
    /// The names are those that every Prometheus library uses, hence without a prefix of ours.
    mutating func append(_ process: ProcessFigures) {
        append("process_cpu_seconds_total", .counter, "Processor time spent", value: process.cpuSeconds)
        append("process_open_fds", .gauge, "Open files and connections", value: Double(process.openFiles))
        append("process_resident_memory_bytes", .gauge, "Memory in use", value: Double(process.residentBytes))
        append("process_start_time_seconds", .gauge, "Start of the process, seconds since 1970", value: process.startSeconds)
        append("process_virtual_memory_bytes", .gauge, "Address space in use", value: Double(process.virtualBytes))
    }
}
