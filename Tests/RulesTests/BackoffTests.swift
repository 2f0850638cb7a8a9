import Rules
import Testing

@Suite struct BackoffTests {
    private let backoff = Backoff(base: .milliseconds(250), cap: .seconds(30))

    @Test func theCeilingDoublesUpToItsCap() {
        #expect((1...5).map { backoff.ceiling(failures: $0) } == [.milliseconds(250), .milliseconds(500), .seconds(1), .seconds(2), .seconds(4)])
        for failures in [9, 64, 1_000_000, Int.max] { #expect(backoff.ceiling(failures: failures) == .seconds(30)) }
        for failures in [0, -1, Int.min] { #expect(backoff.ceiling(failures: failures) == .milliseconds(250)) }
    }

    @Test func waitsFillTheWholeRange() {
        var random = SeededGenerator(seed: 1)
        let waits = (0..<10_000).map { _ in backoff.delay(failures: 3, using: &random) }
        #expect(waits.allSatisfy { $0 >= .zero && $0 <= .seconds(1) })
        #expect(waits.count { $0 < .milliseconds(500) } > 4_500 && waits.count { $0 > .milliseconds(900) } > 800)
    }
}
