internal import Curl

/// What an answer's headers say about limits. Search answers have none of them.
///
/// - Source: platform page, section 7.2.
struct LimitHeaders: Sendable {
    private(set) var max: Int?
    private(set) var remaining: Int?
    private(set) var interval: Duration?
    let daily: Int?
    let dailyRemaining: Int?

    init(_ headers: CurlHeaders) {
        func number(_ name: String) -> Int? { headers[name].flatMap { Int($0) } }
        max = number("X-HubSpot-RateLimit-Max")
        remaining = number("X-HubSpot-RateLimit-Remaining")
        interval = number("X-HubSpot-RateLimit-Interval-Milliseconds").map { .milliseconds($0) }
        daily = number("X-HubSpot-RateLimit-Daily")
        dailyRemaining = number("X-HubSpot-RateLimit-Daily-Remaining")
    }

    /// Without what is said about the burst limit.
    var dailyOnly: LimitHeaders {
        var result = self
        result.max = nil
        result.remaining = nil
        result.interval = nil
        return result
    }
}
