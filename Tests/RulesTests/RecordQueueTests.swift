import Model
import Rules
import TestSupport
import Testing

@Suite struct RecordQueueTests {
    private static let start = Timestamp(milliseconds: 1_800_000_000_000)

    private func key(_ id: Int) -> RecordKey { RecordKey(.contacts, "\(id)") }

    @Test func manyEventsForAWaitingRecordAreOneTask() {
        var queue = RecordQueue()
        for delivery in 1...50 { queue.add(key(1), .init(changedAt: Self.start + .seconds(delivery % 7)), of: delivery, at: Self.start) }
        let batch = queue.nextBatch(max: 100, at: Self.start)
        #expect(batch.count == 1)
        #expect(batch.first?.wish.changedAt == Self.start + .seconds(6))
        #expect(queue.finish(key(1), .done) == Set(1...50))
        #expect(queue.count == 0)
    }

    @Test func aRecordHitWhileRunningRunsOnceMore() {
        var queue = RecordQueue()
        queue.add(key(1), .init(), of: 1, at: Self.start)
        _ = queue.nextBatch(max: 100, at: Self.start)
        queue.add(key(1), .init(), of: 2, at: Self.start)
        queue.add(key(1), .init(), of: 3, at: Self.start)
        #expect(queue.nextBatch(max: 100, at: Self.start).isEmpty)
        #expect(queue.finish(key(1), .done) == [1])
        #expect(queue.nextBatch(max: 100, at: Self.start).map(\.key) == [key(1)])
        #expect(queue.finish(key(1), .done) == [2, 3])
    }

    @Test func batchesHoldOneTypeAndTheOldestGoesFirst() {
        var queue = RecordQueue()
        queue.add(RecordKey(.deals, "9"), .init(), of: 1, at: Self.start)
        for id in 1...150 { queue.add(key(id), .init(), of: 2, at: Self.start + .milliseconds(id)) }
        #expect(queue.nextBatch(max: 100, at: Self.start).map(\.key) == [RecordKey(.deals, "9")])
        #expect(queue.nextBatch(max: 100, at: Self.start).map(\.key) == (1...100).map(key))
        #expect(queue.nextBatch(max: 100, at: Self.start).count == 50)
    }

    @Test func aRetryWaitsForItsTimeUnlessANewEventComes() {
        var queue = RecordQueue()
        queue.add(key(1), .init(), of: 1, at: Self.start)
        queue.add(key(2), .init(), of: 1, at: Self.start)
        _ = queue.nextBatch(max: 100, at: Self.start)
        #expect(queue.finish(key(1), .retry(at: Self.start + .seconds(10))).isEmpty)
        #expect(queue.finish(key(2), .retry(at: Self.start + .seconds(20))).isEmpty)
        #expect(queue.nextRetry == Self.start + .seconds(10))
        #expect(queue.nextBatch(max: 100, at: Self.start + .seconds(9)).isEmpty)
        queue.add(key(2), .init(), of: 2, at: Self.start + .seconds(9))
        #expect(queue.nextBatch(max: 100, at: Self.start + .seconds(9)).map(\.key) == [key(2)])
        let due = queue.nextBatch(max: 100, at: Self.start + .seconds(10))
        #expect(due.map(\.key) == [key(1)])
        #expect(due.first?.attempt == 1)
        #expect(queue.finish(key(2), .done) == [1, 2])
        #expect(queue.finish(key(1), .failed) == [1])
    }

    @Test func anOutageDoesNotUseUpThePatienceWithStaleReads() {
        var queue = RecordQueue()
        queue.add(key(1), .init(changedAt: Self.start), of: 1, at: Self.start)
        for attempt in 1...20 {
            _ = queue.nextBatch(max: 1, at: Self.start + .seconds(attempt))
            _ = queue.finish(key(1), .retry(at: Self.start + .seconds(attempt), because: .away))
        }
        let afterOutage = queue.nextBatch(max: 1, at: Self.start + .seconds(21)).first
        #expect(afterOutage?.attempt == 20)
        #expect(afterOutage?.staleReads == 0)
        #expect(afterOutage?.failures == 0)
        _ = queue.finish(key(1), .retry(at: Self.start + .seconds(22), because: .broken))
        _ = queue.nextBatch(max: 1, at: Self.start + .seconds(22))
        _ = queue.finish(key(1), .retry(at: Self.start + .seconds(23), because: .stale))
        let last = queue.nextBatch(max: 1, at: Self.start + .seconds(23)).first
        #expect(last?.staleReads == 1)
        #expect(last?.failures == 1)
    }

    @Test func aNewerEventIsWorthNewReads() {
        var queue = RecordQueue()
        queue.add(key(1), .init(changedAt: Self.start), of: 1, at: Self.start)
        for attempt in 1...3 {
            _ = queue.nextBatch(max: 1, at: Self.start + .seconds(attempt))
            _ = queue.finish(key(1), .retry(at: Self.start + .seconds(attempt), because: .stale))
        }
        queue.add(key(1), .init(changedAt: Self.start), of: 2, at: Self.start)
        #expect(queue.nextBatch(max: 1, at: Self.start + .seconds(5)).first?.staleReads == 3, "a repeated event is not newer")
        queue.add(key(1), .init(changedAt: Self.start + .seconds(1)), of: 3, at: Self.start)
        _ = queue.finish(key(1), .retry(at: Self.start + .seconds(6), because: .stale))
        #expect(queue.nextBatch(max: 1, at: Self.start + .seconds(6)).first?.staleReads == 0)
    }

    /// Whatever the order of events and ends, no record runs twice at once, no event is forgotten, and every delivery is
    /// released by its last record and not before.
    @Test(arguments: 1...300 as ClosedRange<UInt64>) func everyEventIsFollowedByARun(seed: UInt64) {
        var random = SeededRandom(state: seed)
        var queue = RecordQueue()
        var now = Self.start
        var running: Set<RecordKey> = []
        /// The model: deliveries that a record has not answered for by a run that began after them.
        var owed: [RecordKey: Set<Int>] = [:]
        var inRun: [RecordKey: Set<Int>] = [:]
        var deliveries = 0
        func step(adding: Bool) {
            now = now + .milliseconds(Int.random(in: 0...50, using: &random))
            switch Int.random(in: 0..<(adding ? 3 : 2), using: &random) {
            case 2:
                deliveries += 1
                for _ in 0..<Int.random(in: 1...4, using: &random) {
                    let key = RecordKey(RecordType.allCases.randomElement(using: &random)!, "\(Int.random(in: 1...6, using: &random))")
                    queue.add(key, .init(changedAt: now), of: deliveries, at: now)
                    owed[key, default: []].insert(deliveries)
                }
            case 1:
                for task in queue.nextBatch(max: Int.random(in: 1...3, using: &random), at: now) {
                    #expect(running.insert(task.key).inserted, "seed \(seed): \(task.key) runs twice at once")
                    #expect(task.deliveries == owed[task.key], "seed \(seed): \(task.key) runs without all its events")
                    inRun[task.key] = owed.removeValue(forKey: task.key)
                }
            default:
                guard let key = running.sorted().randomElement(using: &random) else { return }
                running.remove(key)
                let answered = inRun.removeValue(forKey: key) ?? []
                if Int.random(in: 0..<4, using: &random) == 0 {
                    #expect(queue.finish(key, .retry(at: now + .milliseconds(Int.random(in: 1...200, using: &random)))).isEmpty)
                    owed[key, default: []].formUnion(answered)
                } else {
                    #expect(queue.finish(key, .done) == answered.subtracting(owed[key] ?? []), "seed \(seed): \(key) releases wrongly")
                }
            }
        }
        for _ in 0..<200 { step(adding: true) }
        var left = 20_000
        while queue.count > 0, left > 0 {
            step(adding: false)
            left -= 1
        }
        #expect(queue.count == 0, "seed \(seed): something is never run")
        #expect(owed.isEmpty && inRun.isEmpty, "seed \(seed): an event is forgotten")
        #expect(queue.waitingCount == 0 && queue.runningCount == 0 && queue.retryingCount == 0)
    }
}
