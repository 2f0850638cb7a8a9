import Rules
import Testing

@Suite struct PaceTests {
    @Test func tellsRateAndTimeLeft() {
        let pace = Pace(processed: 500, total: 2000, elapsed: .seconds(10))
        #expect(pace.perSecond == 50)
        #expect(pace.remaining == .seconds(30))
        #expect(pace.fraction == 0.25)
    }

    @Test func knowsNothingBeforeTheStart() {
        let pace = Pace(processed: 0, total: 10, elapsed: .zero)
        #expect(pace.perSecond == 0)
        #expect(pace.remaining == nil)
        #expect(pace.fraction == 0)
    }

    @Test func aTotalThatWasTooSmallCountsAsReached() {
        let pace = Pace(processed: 12, total: 10, elapsed: .seconds(1))
        #expect(pace.fraction == 1)
        #expect(pace.remaining == .zero)
    }

    @Test func anUnknownTotalGivesARateOnly() {
        let pace = Pace(processed: 12, total: nil, elapsed: .seconds(2))
        #expect(pace.perSecond == 6)
        #expect(pace.remaining == nil)
        #expect(pace.fraction == nil)
    }
}
