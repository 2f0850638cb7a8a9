extension Duration {
    /// Reads `500ms`, `30s`, `5m`, `24h`, `30d`, `0`: whole numbers, up to ten years.
    public init?(text: String) {
        let units: [(String, Int64)] = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)]
        if text == "0" {
            self = .zero
            return
        }
        guard let (suffix, factor) = units.first(where: { text.hasSuffix($0.0) }), let count = Int64(text.dropLast(suffix.count)),
            count >= 0, count <= 10 * 366 * 86_400_000 / factor
        else { return nil }
        self = .milliseconds(count * factor)
    }
}
