/// At most `calls` calls in any stretch of time as long as `interval`.
public struct RateLimit: Sendable, Equatable, Hashable {
    public let calls: Int
    public let interval: Duration

    /// - Precondition: both are positive.
    public init(calls: Int, interval: Duration) {
        precondition(calls > 0 && interval > .zero)
        self.calls = calls
        self.interval = interval
    }

    /// Calls that nobody keeps for himself when several share the limit: what a newcomer starts with and what urgent calls reach into.
    /// It is half of what bulk work leaves free anyway (`CallClass.sharePercent`), so that it costs a full sync nothing: 4 of 100, 1 of 5.
    public var reserve: Int { (calls - max(1, calls * CallClass.full.sharePercent / 100) + 1) / 2 }

    /// Reads `100/10s`, `5/1s`, `20/500ms` or `60/1m`; nil for anything else, more than a million calls or more than a day.
    public init?(_ text: String) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, let calls = RateLimit.positive(parts[0]), calls <= 1_000_000 else { return nil }
        let number = parts[1].prefix { $0.isASCII && $0.isNumber }
        guard let count = RateLimit.positive(number) else { return nil }
        let interval: Duration
        switch parts[1].dropFirst(number.count) {
        case "ms": interval = .milliseconds(count)
        case "s": interval = .seconds(count)
        case "m": interval = .seconds(count * 60)
        default: return nil
        }
        guard interval <= .seconds(86_400) else { return nil }
        self.init(calls: calls, interval: interval)
    }

    private static func positive(_ digits: Substring) -> Int? {
        guard !digits.isEmpty, digits.count <= 9, digits.utf8.allSatisfy({ $0 >= 48 && $0 <= 57 }), let value = Int(digits), value > 0
        else { return nil }
        return value
    }
}

extension RateLimit: CustomStringConvertible {
    public var description: String {
        let milliseconds = interval.components.seconds * 1000 + interval.components.attoseconds / 1_000_000_000_000_000
        return milliseconds % 1000 == 0 ? "\(calls)/\(milliseconds / 1000)s" : "\(calls)/\(milliseconds)ms"
    }
}
