internal import Curl

/// What an answer's headers say about limits. Search answers have none of them.
///
/// - Source: platform page, section 7.2.
struct LimitHeaders: Sendable {
    let max: Int?
    let remaining: Int?
    let interval: Duration?
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
}
