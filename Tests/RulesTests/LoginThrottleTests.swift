import Model
import Rules
import Testing

@Suite struct LoginThrottleTests {
    private let start = Timestamp(milliseconds: 1_800_000_000_000)

    @Test func theFifthFailureMakesTheAddressWaitAndEachFurtherOneLonger() {
        var throttle = LoginThrottle()
        for _ in 1...4 { throttle.failed(from: "a", at: start) }
        #expect(throttle.wait(of: "a", at: start) == nil)
        throttle.failed(from: "a", at: start)
        #expect(throttle.wait(of: "a", at: start) == .seconds(1))
        throttle.failed(from: "a", at: start)
        #expect(throttle.wait(of: "a", at: start) == .seconds(2))
        for _ in 1...30 { throttle.failed(from: "a", at: start) }
        #expect(throttle.wait(of: "a", at: start) == .seconds(300))
        #expect(throttle.wait(of: "a", at: start + .seconds(301)) == nil)
    }

    @Test func otherAddressesAreNotAffected() {
        var throttle = LoginThrottle()
        for _ in 1...20 { throttle.failed(from: "a", at: start) }
        #expect(throttle.wait(of: "b", at: start) == nil)
    }

    @Test func successAndTimeForgive() {
        var throttle = LoginThrottle()
        for _ in 1...5 { throttle.failed(from: "a", at: start) }
        throttle.succeeded(from: "a")
        #expect(throttle.wait(of: "a", at: start) == nil)
        for _ in 1...4 { throttle.failed(from: "a", at: start) }
        throttle.failed(from: "a", at: start + .seconds(1000))
        #expect(throttle.wait(of: "a", at: start + .seconds(1000)) == nil)
    }
}
