import Foundation

/// The results, as a table for people and as JSON for programs.
struct Table {
    struct Row: Codable {
        let name: String
        /// The service's figure, the median of its rounds.
        let ours: Double
        /// How far the rounds lie apart: (largest - smallest) / median; nil for a single one.
        let spread: Double?
        /// The raw program's figure.
        let raw: Double?
        let unit: String
        /// ours / raw.
        let ratio: Double?
        let target: String?
        let isMet: Bool?
    }

    /// What a figure should be.
    enum Target {
        case ratioAtMost(Double)
        case ratioAtLeast(Double)
        case atMost(Double)
        case atLeast(Double)
    }

    private(set) var rows: [Row] = []

    mutating func add(_ name: String, _ ours: [Double], raw: [Double] = [], _ unit: String, _ target: Target? = nil) {
        let figure = Table.median(ours)
        let base = raw.isEmpty ? nil : Table.median(raw)
        let ratio = base.map { figure / $0 }
        let spread = ours.count > 1 ? ((ours.max() ?? 0) - (ours.min() ?? 0)) / figure : nil
        var text: String?
        var isMet: Bool?
        switch target {
        case .ratioAtMost(let most): (text, isMet) = ("≤ \(most) ×", ratio.map { $0 <= most })
        case .ratioAtLeast(let least): (text, isMet) = ("≥ \(least) ×", ratio.map { $0 >= least })
        case .atMost(let most): (text, isMet) = ("≤ \(Table.short(most))", figure <= most)
        case .atLeast(let least): (text, isMet) = ("≥ \(Table.short(least))", figure >= least)
        case nil: break
        }
        rows.append(Row(name: name, ours: figure, spread: spread, raw: base, unit: unit, ratio: ratio, target: text, isMet: isMet))
        print(line(rows[rows.count - 1]))
    }

    static let head = "| what | ours | spread | raw | unit | ours / raw | target | met |\n| --- | --- | --- | --- | --- | --- | --- | --- |"

    private func line(_ row: Row) -> String {
        var cells = [row.name, Table.short(row.ours)]
        cells.append(row.spread.map { "\(Int($0 * 100)) %" } ?? "")
        cells.append(row.raw.map(Table.short) ?? "")
        cells.append(row.unit)
        cells.append(row.ratio.map { String(format: "%.2f", $0) } ?? "")
        cells.append(row.target ?? "")
        cells.append(row.isMet.map { $0 ? "yes" : "no" } ?? "")
        return "| " + cells.joined(separator: " | ") + " |"
    }

    private static func short(_ value: Double) -> String {
        value >= 100 ? String(Int(value.rounded())) : String(format: value >= 10 ? "%.1f" : "%.2f", value)
    }

    func write(to path: String) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        try encoder.encode(rows).write(to: URL(fileURLWithPath: path))
    }

    static func median(_ values: [Double]) -> Double {
        let sorted = values.sorted()
        guard !sorted.isEmpty else { return .nan }
        return sorted.count % 2 == 1 ? sorted[sorted.count / 2] : (sorted[sorted.count / 2 - 1] + sorted[sorted.count / 2]) / 2
    }

    static func percentile(_ values: [Double], _ share: Double) -> Double {
        let sorted = values.sorted()
        return sorted.isEmpty ? .nan : sorted[min(sorted.count - 1, Int(Double(sorted.count) * share))]
    }
}
