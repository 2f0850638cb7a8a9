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
        throttle.succeeded(from: "a", at: start)
        #expect(throttle.wait(of: "a", at: start) == nil)
        for _ in 1...4 { throttle.failed(from: "a", at: start) }
        throttle.failed(from: "a", at: start + .seconds(1000))
        #expect(throttle.wait(of: "a", at: start + .seconds(1000)) == nil)
    }

    /// Guesses through a proxy that a program with the key shares do not shut it out; where nobody knows the key they are slowed down.
    @Test func whereTheKeyIsKnownFailuresDoNotCount() {
        var throttle = LoginThrottle(sparing: .seconds(900))
        throttle.succeeded(from: "a", at: start)
        for origin in ["a", "b"] { for _ in 1...20 { throttle.failed(from: origin, at: start + .seconds(899)) } }
        #expect(throttle.wait(of: "a", at: start + .seconds(899)) == nil)
        #expect(throttle.wait(of: "b", at: start + .seconds(899)) != nil)
        for _ in 1...20 { throttle.failed(from: "a", at: start + .seconds(901)) }
        #expect(throttle.wait(of: "a", at: start + .seconds(901)) != nil)
    }

    @Test func onlySoManyOriginsAreRemembered() {
        var throttle = LoginThrottle()
        for number in 0..<30_000 { for _ in 1...5 { throttle.failed(from: "\(number)", at: start + .milliseconds(number)) } }
        let blocked = (0..<30_000).count { throttle.wait(of: "\($0)", at: start) != nil }
        #expect((9_000...10_000).contains(blocked))
        #expect(throttle.wait(of: "29999", at: start + .seconds(30)) != nil)
    }

    @Test(arguments: [
        ("192.0.2.7", "192.0.2.7"), ("::ffff:192.0.2.7", "192.0.2.7"), ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:0DB8:0001:0002::9", "2001:db8:1:2::/64"), ("2001:db8::1", "2001:db8:0:0::/64"), ("::1", "0:0:0:0::/64"),
        ("fe80::1%eth0", "fe80:0:0:0::/64"), ("1::", "1:0:0:0::/64"), ("unknown", "unknown"), ("", ""), (":", "::/64"), (":::::::::", "0:0:0:0::/64"),
    ])
    func anOriginIsWhatOneGuesserHas(address: String, origin: String) { #expect(LoginThrottle.origin(of: address) == origin) }
}
