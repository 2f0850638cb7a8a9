import Rules
import TestSupport
import Testing

struct CircuitBreakerTests {
    private func breaker() -> CircuitBreaker { CircuitBreaker(failuresMax: 2, pause: .seconds(3), probeTime: .seconds(10)) }

    @Test func itOpensAfterFailuresInARowOnly() {
        var breaker = breaker()
        for second in 0..<20 {
            breaker.failed(at: .seconds(second))
            #expect(breaker.decide(at: .seconds(second)) == .call)
            breaker.answered()
        }
        breaker.failed(at: .seconds(20))
        breaker.failed(at: .seconds(20))
        #expect(breaker.isOpen && breaker.decide(at: .seconds(21)) == .avoid(.seconds(2)))
    }

    @Test func oneProbeLooksAtATime() {
        var breaker = breaker()
        breaker.failed(at: .zero)
        breaker.failed(at: .zero)
        #expect(breaker.decide(at: .seconds(3)) == .avoidAndProbe(.seconds(3)))
        for second in 3..<13 { #expect(breaker.decide(at: .seconds(second)) == .avoid(.seconds(3))) }
        // It never reported.
        #expect(breaker.decide(at: .seconds(13)) == .avoidAndProbe(.seconds(3)))
        breaker.failed(at: .seconds(14))
        #expect(breaker.decide(at: .seconds(15)) == .avoid(.seconds(2)))
        #expect(breaker.decide(at: .seconds(17)) == .avoidAndProbe(.seconds(3)))
        breaker.answered()
        #expect(!breaker.isOpen && breaker.decide(at: .seconds(17)) == .call)
        // It begins anew, with all its patience.
        breaker.failed(at: .seconds(18))
        #expect(breaker.decide(at: .seconds(18)) == .call)
    }

    /// Calls that were under way when it opened fail one after the other, and the probe is due all the same.
    @Test func stragglersDoNotPutTheProbeOff() {
        var breaker = breaker()
        for tenth in 0..<30 { breaker.failed(at: .milliseconds(tenth * 100)) }
        #expect(breaker.decide(at: .milliseconds(3_100)) == .avoidAndProbe(.seconds(3)))
    }

    /// Whatever happens: it is never avoided longer than a pause and the time of a probe without somebody being told to look.
    @Test(arguments: Array(UInt64(1)...100)) func aReturnIsAlwaysLookedFor(seed: UInt64) {
        var random = SeededRandom(state: seed), breaker = breaker()
        var now = Duration.zero, lastLook = Duration.zero
        for _ in 0..<300 {
            now += .milliseconds(Int64.random(in: 0...900, using: &random))
            switch Int.random(in: 0..<10, using: &random) {
            case 0: breaker.answered()
            case 1..<5: breaker.failed(at: now)
            default: break
            }
            switch breaker.decide(at: now) {
            case .call, .avoidAndProbe: lastLook = now
            case .avoid(let time): #expect(time > .zero && time <= .seconds(3) && now - lastLook < .seconds(3 + 10 + 3))
            }
        }
    }
}
