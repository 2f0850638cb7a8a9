import HTTPTypes
import Logging
import Model
import Store

/// The mirror's changes for everybody who follows them: read once, however many they are, while anybody does.
actor ChangeFeed {
    /// Followers at once; more are refused.
    static let streamsMax = 64
    /// Batches that wait for a slow follower. Beyond that its stream ends, and it reads for itself what it has missed.
    private static let batchesMax = 32
    private static let wait: Duration = .seconds(1)

    enum News: Sendable {
        case batch(MirrorChanges.Batch)
        /// Nobody knows what happened before this position.
        case lost(position: String)
    }

    private let changes: MirrorChanges
    private let logger: Logger
    private var followers: [Int: AsyncStream<News>.Continuation] = [:]
    private var followerCount = 0
    /// Everything before is told; nil while nobody follows.
    private var position: String?
    private var isStopped = false
    private let wakes: AsyncStream<Void>
    private let wake: AsyncStream<Void>.Continuation

    init(changes: MirrorChanges, logger: Logger) {
        self.changes = changes
        self.logger = logger
        (wakes, wake) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    /// What happens from `position` on, a batch about every second, with or without changes.
    ///
    /// - Throws: `APIError` 503 when too many follow already; `MongoError`; `CancellationError` when the service stops.
    func follow() async throws -> (position: String, news: AsyncStream<News>) {
        try checkRoom()
        if position == nil {
            let now = try await changes.position()
            // Somebody else may have asked meanwhile.
            if position == nil { position = now }
            try checkRoom()
        }
        guard !isStopped, let position else { throw CancellationError() }
        followerCount += 1
        let number = followerCount
        let (news, follower) = AsyncStream<News>.makeStream(bufferingPolicy: .bufferingOldest(ChangeFeed.batchesMax))
        followers[number] = follower
        follower.onTermination = { [weak self] _ in
            // The stream ends outside the actor; nothing waits for this.
            Task { await self?.forget(number) }
        }
        wake.yield()
        return (position, news)
    }

    private func checkRoom() throws(APIError) {
        guard followers.count < ChangeFeed.streamsMax else {
            throw APIError(
                .serviceUnavailable, "too_many_streams", "\(ChangeFeed.streamsMax) clients follow the changes already; close one",
                retryAfter: .seconds(10))
        }
    }

    private func forget(_ number: Int) { followers.removeValue(forKey: number) }

    /// Reads and tells until it is cancelled.
    func run() async {
        var waiting = wakes.makeAsyncIterator()
        while !Task.isCancelled {
            guard !followers.isEmpty, let from = position else {
                position = nil
                await waiting.next()
                continue
            }
            do {
                let batch = try await changes.changes(after: from, wait: ChangeFeed.wait)
                position = batch.position
                tell(batch.isBroken ? .lost(position: batch.position) : .batch(batch))
            } catch let error as StoreError {
                logger.warning("Changes of the mirror are lost", metadata: ["error": "\(error)"])
                await beginAnew()
            } catch {
                logger.debug("The mirror's changes cannot be read", metadata: ["error": "\(error)"])
                tell(.batch(MirrorChanges.Batch(changes: [], position: from)))
                // Cancelled while asleep: the loop's condition ends it.
                try? await Task.sleep(for: ChangeFeed.wait)
            }
        }
        isStopped = true
        for follower in followers.values { follower.finish() }
    }

    private func beginAnew() async {
        do {
            let now = try await changes.position()
            position = now
            tell(.lost(position: now))
        } catch {
            try? await Task.sleep(for: ChangeFeed.wait)
        }
    }

    private func tell(_ news: News) {
        for (number, follower) in followers {
            guard case .dropped = follower.yield(news) else { continue }
            follower.finish()
            followers[number] = nil
        }
    }
}
