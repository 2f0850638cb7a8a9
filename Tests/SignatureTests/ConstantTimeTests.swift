import Foundation
import Signature
import Testing

/// Whether a comparison tells by its time how much of a guess is right.
@Suite(.serialized) struct ConstantTimeTests {
    /// Long, so that what an early end saves stands out of the noise.
    private static let length = 16_384
    private static let secret = [UInt8](repeating: 0x5A, count: length)

    /// How many times as long a comparison takes with guesses that differ in the last byte as with those that differ in the first.
    ///
    /// Both kinds take turns in short batches, and the quickest tenth of each counts: what else the machine does only ever adds time.
    private func ratio(_ compare: ([UInt8], [UInt8]) -> Bool) -> Double {
        var early = Self.secret, late = Self.secret
        early[0] ^= 1
        late[Self.length - 1] ^= 1
        func time(_ guess: [UInt8]) -> Double {
            let start = ContinuousClock.now
            for _ in 0..<8 where compare(guess, Self.secret) { Issue.record("different bytes are equal") }
            return Double((ContinuousClock.now - start) / .nanoseconds(1))
        }
        var times: (early: [Double], late: [Double]) = ([], [])
        for round in 0..<2_000 {
            // Neither always comes second.
            if round.isMultiple(of: 2) {
                times.early.append(time(early))
                times.late.append(time(late))
            } else {
                times.late.append(time(late))
                times.early.append(time(early))
            }
        }
        func quick(_ times: [Double]) -> Double { times.sorted().prefix(200).reduce(0, +) }
        return quick(times.late) / quick(times.early)
    }

    @Test func theTimeSaysNothingAboutTheGuess() {
        let ratio = ratio(constantTimeEquals)
        #expect((0.9...1.1).contains(ratio), "\(ratio)")
    }

    /// That the measurement above can tell.
    @Test func anOrdinaryComparisonWouldTellIt() {
        let ratio = ratio { a, b in a.withUnsafeBytes { a in b.withUnsafeBytes { b in memcmp(a.baseAddress!, b.baseAddress!, a.count) == 0 } } }
        #expect(ratio > 1.1, "\(ratio)")
    }
}
