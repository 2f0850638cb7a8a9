import Rules
import Testing

@Suite struct RateLimitTests {
    @Test func limitsAreReadAndPrinted() {
        for text in ["100/10s", "5/1s", "20/500ms", "190/10s"] { #expect(RateLimit(text)?.description == text) }
        #expect(RateLimit("60/1m") == RateLimit(calls: 60, interval: .seconds(60)))
    }

    @Test(arguments: ["", "100", "100/", "/10s", "0/10s", "-1/1s", "100/0s", "100/10", "100/10h", "1e3/1s", "100/10s ", "٣/1s", "9999999999/1s", "1/99999999s", "1/1/1s"])
    func nonsenseIsNoLimit(text: String) {
        #expect(RateLimit(text) == nil)
    }
}
