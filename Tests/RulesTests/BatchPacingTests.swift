import Rules
import Testing

@Suite struct BatchPacingTests {
    private static let limits = ["100/10s", "190/10s", "250/10s", "19/1s", "8/10s", "2/10s", "1/1s"].compactMap { RateLimit($0) }

    /// What comes in, batch by batch, and when each batch that it went with started.
    private struct Simulation {
        let limit: RateLimit
        var pacing = BatchPacing()
        var isYielding = false
        var now = Duration.zero
        private(set) var starts: [Duration] = []
        private(set) var waits: [Duration] = []
        private var waiting: [Duration] = []
        private var alarm: Duration?

        init(_ limit: RateLimit) { self.limit = limit }

        mutating func arrive(_ count: Int = 1, after pause: Duration) {
            let instant = now + pause
            while let due = alarm, due <= instant {
                now = due
                ask(isNews: false)
            }
            now = instant
            waiting += Array(repeating: now, count: count)
            ask(isNews: true)
        }

        private mutating func ask(isNews: Bool) {
            alarm = nil
            var isNews = isNews
            while !waiting.isEmpty {
                if let pause = pacing.pause(
                    waiting: waiting.count, max: 100, isNews: isNews, limit: limit, isYielding: isYielding, at: now)
                {
                    alarm = now + pause
                    return
                }
                isNews = false
                starts.append(now)
                waits += waiting.prefix(100).map { now - $0 }
                waiting.removeFirst(min(100, waiting.count))
            }
        }

        var medianWait: Duration { waits.sorted()[waits.count / 2] }

        /// The most batches whose calls hold a slot at the same time, if each takes that long.
        func mostHeld(callLife: Duration) -> Int {
            var most = 0, first = 0
            for (index, start) in starts.enumerated() {
                while starts[first] + callLife + limit.interval <= start { first += 1 }
                most = max(most, index - first + 1)
            }
            return most
        }
    }

    @Test(arguments: limits) func noBatchHasToWaitForACall(limit: RateLimit) {
        for seed in seeds.prefix(20) {
            var random = SeededGenerator(seed: seed)
            var simulation = Simulation(limit)
            let spacing = limit.interval / limit.calls * Double.random(in: 0.05...1.5, using: &random)
            for _ in 0..<2000 {
                let isLull = Int.random(in: 0..<500, using: &random) == 0
                simulation.arrive(after: isLull ? limit.interval * 2 : spacing * Double.random(in: 0...2, using: &random))
            }
            #expect(simulation.mostHeld(callLife: limit.interval / 100) <= limit.calls, "seed \(seed)")
        }
    }

    /// Single events at 200 a second, and deliveries of some of them at 30 and at 16: all at HubSpot's limit of 190 in 10 s.
    @Test(arguments: [(5, 28, 115), (34, 1, 90), (62, 0, 0)])
    func halfOfWhatComesInWaitsLittleAndAllNotLong(everyMs: Int, medianMs: Int, longestMs: Int) throws {
        var simulation = Simulation(try #require(RateLimit("190/10s")))
        for _ in 0..<(60_000 / everyMs) { simulation.arrive(after: .milliseconds(everyMs)) }
        #expect(simulation.medianWait <= .milliseconds(medianMs))
        #expect(try #require(simulation.waits.max()) <= .milliseconds(longestMs))
        #expect(simulation.starts.count >= min(60_000 / everyMs, 1050), "as many as there can be")
    }

    @Test(arguments: limits) func whatComesInAfterALullGoesAtOnce(limit: RateLimit) {
        var simulation = Simulation(limit)
        for count in [1, 7, 100] {
            simulation.arrive(count, after: limit.interval * 3)
            #expect(simulation.starts.last == simulation.now)
        }
    }

    @Test func whatIsNotFullGoesHalfAsOftenWhileOthersNeedCalls() throws {
        var starts: [Int] = []
        for isYielding in [false, true] {
            var simulation = Simulation(try #require(RateLimit("100/10s")))
            simulation.isYielding = isYielding
            for _ in 0..<6000 { simulation.arrive(after: .milliseconds(10)) }
            starts.append(simulation.starts.count)
        }
        #expect(abs(starts[0] - 2 * starts[1]) <= 10, "\(starts)")
    }

    /// A backlog: batches are full, so nothing is gained by waiting, and all calls are used.
    @Test(arguments: limits) func fullBatchesGoAsFastAsTheLimitAllows(limit: RateLimit) {
        var simulation = Simulation(limit)
        simulation.arrive(limit.calls * 300, after: limit.interval)
        let begin = simulation.now
        simulation.arrive(after: limit.interval * 10)
        #expect(abs(simulation.starts.count { $0 <= begin + limit.interval * 2 } - limit.calls * 2) <= 1)
        #expect(zip(simulation.starts, simulation.starts.dropFirst()).prefix(limit.calls * 2).allSatisfy { $1 - $0 >= limit.interval / limit.calls })
    }
}
