public import Model

/// The mirror's counts for all who ask at once. Counting reads one index entry a record: some milliseconds for ten thousand of them, most of
/// a second for a million, so what was counted lately is given again for some seconds, and says when it was counted.
public actor MirrorTally {
    public struct Counts: Sendable {
        public let byType: [RecordType: MirrorCounts]
        /// When they were true.
        public let at: Timestamp

        /// Archived ones too.
        var records: Int { byType.values.reduce(0) { $0 + $1.total + $1.archived } }
    }

    /// Up to so many records are counted anew for everybody who asks: some 20 ms of the server's time.
    public static let smallMax = 50_000
    /// More are given again for so many times as long as counting took, so that it takes a tenth of the time at most.
    private static let rest = 10
    private static let restMax: Duration = .seconds(30)
    /// The same for counts that nobody asked for.
    private static let idleRest = 50
    private static let idleRestMin: Duration = .seconds(10)
    private static let patienceMax: Duration = .seconds(60)

    private let mirror: MirrorReader
    private let smallMax: Int
    private var last: (counts: Counts, took: Duration, ended: CoreClock.Instant)?
    private var running: Task<Counts, any Error>?
    private var next: Task<Counts, any Error>?

    public init(mirror: MirrorReader, smallMax: Int = MirrorTally.smallMax) {
        self.mirror = mirror
        self.smallMax = smallMax
    }

    /// Exact numbers of now, or of some seconds ago where counting takes long.
    public func counts() async throws -> Counts {
        if let recent { return recent }
        // One that began before this call may lack what the caller has just written: the next one is for all who ask meanwhile.
        if let next { return try await next.value }
        let before = running
        let task = Task {
            _ = await before?.result
            return try await self.count()
        }
        next = task
        return try await task.value
    }

    /// Numbers for who cannot wait: the last ones of a large mirror, and new ones are on their way then; those of `counts()` of a small one
    /// if they are there within `patience`, else the last ones, else nil.
    public func counts(within patience: Duration) async throws -> Counts? {
        if let recent { return recent }
        let (results, result) = AsyncStream<Result<Counts, any Error>>.makeStream()
        // Both go on when this caller has left: the count is for everybody.
        Task {
            result.yield(await Task { try await self.counts() }.result)
            result.finish()
        }
        if let last, last.counts.records > smallMax { return last.counts }
        let timer = Task {
            // Cancelled while asleep: the numbers are there.
            try? await Task.sleep(for: patience, clock: .core)
            result.finish()
        }
        for await counts in results {
            timer.cancel()
            return try counts.get()
        }
        return last?.counts
    }

    /// Counts now and then until it is cancelled, so that there are numbers for who cannot wait.
    public func keepWarm() async {
        while !Task.isCancelled {
            // A failure is told to those who ask. Cancelling ends the wait, which a count itself would not heed.
            _ = try? await counts(within: MirrorTally.patienceMax)
            let pause = max(MirrorTally.idleRestMin, (last?.took ?? .zero) * MirrorTally.idleRest)
            // Cancelled while asleep: the loop's condition ends it.
            try? await Task.sleep(for: pause, clock: .core)
        }
    }

    private var recent: Counts? {
        guard let last, last.counts.records > smallMax,
            CoreClock.now - last.ended < min(MirrorTally.restMax, last.took * MirrorTally.rest)
        else { return nil }
        return last.counts
    }

    private func count() async throws -> Counts {
        running = next
        next = nil
        defer { running = nil }
        let begin = CoreClock.now
        let at = Timestamp.now
        let counts = Counts(byType: try await mirror.counts(), at: at)
        last = (counts, .now - begin, .now)
        return counts
    }
}
