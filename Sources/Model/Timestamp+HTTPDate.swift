extension Timestamp {
    private static let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
    private static let weekdays = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"]  // 1970 began on the first

    /// The value of HTTP's `Date` header, in whole seconds: `Sun, 06 Nov 1994 08:49:37 GMT`. For years 0...9999.
    public var httpDate: String {
        let text = iso8601
        func part(_ start: Int, _ count: Int) -> Substring { text.dropFirst(start).prefix(count) }
        let days = milliseconds / 86_400_000 - (milliseconds % 86_400_000 < 0 ? 1 : 0)
        let weekday = Timestamp.weekdays[Int((days % 7 + 7) % 7)]
        let month = Timestamp.months[(Int(part(5, 2)) ?? 1) - 1]
        return "\(weekday), \(part(8, 2)) \(month) \(part(0, 4)) \(part(11, 8)) GMT"
    }

    /// Reads that one form, which RFC 9110 asks every server to send; the weekday is not checked. Anything else is nil.
    public init?(httpDate text: String) {
        let parts = text.split(separator: " ", omittingEmptySubsequences: false)
        guard parts.count == 6, parts[4].utf8.count == 8, parts[5] == "GMT", let month = Timestamp.months.firstIndex(of: String(parts[2])) else { return nil }
        self.init(iso8601: "\(parts[3])-\(month < 9 ? "0" : "")\(month + 1)-\(parts[1])T\(parts[4])Z")
    }
}
