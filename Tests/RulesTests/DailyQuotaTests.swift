import Rules
import Testing

@Suite struct DailyQuotaTests {
    private func held(_ remaining: Int, of limit: Int = 250_000) -> [CallClass] {
        var quota = DailyQuota()
        quota.observe(limit: limit, remaining: remaining, reset: nil, at: .zero)
        return CallClass.allCases.filter { quota.hold(for: $0, at: .seconds(1)) != nil }
    }

    @Test func theLeastUrgentStopsFirstAndWebhooksAndPeopleNever() {
        #expect(held(250_000).isEmpty && held(50_000).isEmpty)
        #expect(held(49_999) == [.healing] && held(25_000) == [.healing])
        #expect(held(24_999) == [.full, .healing] && held(12_500) == [.full, .healing])
        #expect(held(12_499) == [.incremental, .full, .healing])
        #expect(held(0) == [.incremental, .full, .healing])
    }

    /// Tokens of OAuth apps have no daily quota and no headers about it.
    @Test func withoutHeadersNobodyIsHeld() {
        let quota = DailyQuota()
        #expect(CallClass.allCases.allSatisfy { quota.hold(for: $0, at: .zero) == nil })
        for (limit, remaining) in [(0, 0), (-1, 0), (Int.max, 0), (100, -1)] { #expect(held(remaining, of: limit).isEmpty) }
    }

    @Test func theHoldEndsWithTheDayOrByAProbe() {
        var quota = DailyQuota()
        quota.observe(limit: 1000, remaining: 10, reset: .seconds(300), at: .zero)
        #expect(quota.hold(for: .full, at: .seconds(299)) == .seconds(300))
        #expect(quota.hold(for: .full, at: .seconds(300)) == nil)
        quota.observe(limit: 1000, remaining: 10, reset: .seconds(80_000), at: .zero)
        #expect(quota.hold(for: .full, at: .seconds(899)) == .seconds(900))
        #expect(quota.hold(for: .full, at: .seconds(900)) == nil)
        // Other apps' packs, or a new day.
        quota.observe(limit: 1000, remaining: 990, reset: nil, at: .seconds(901))
        #expect(quota.hold(for: .healing, at: .seconds(901)) == nil)
    }
}
