import HTTPTypes
import Logging
import Model
import NIOConcurrencyHelpers
import Store
import Sync

/// The state for everybody who watches it: computed once a second while somebody does, however many they are.
actor StatusFeed {
    enum Kind: Sendable, CaseIterable {
        /// The status as JSON.
        case status
        /// The sections of the overview page.
        case page
    }

    /// Watchers at once; more are refused.
    static let watchersMax = 32
    private static let every: Duration = .seconds(1)

    private struct Watcher {
        let kind: Kind
        let events: AsyncStream<[ServerEvent]>.Continuation
    }

    private let overview: OverviewSource
    private let logger: Logger
    private var watchers: [Int: Watcher] = [:]
    private var watcherCount = 0

    init(overview: OverviewSource, logger: Logger) {
        self.overview = overview
        self.logger = logger
    }

    /// The state within a second and after each, each time whole. It ends with the stream that is returned.
    func watch(_ kind: Kind) throws(APIError) -> AsyncStream<[ServerEvent]> {
        guard watchers.count < StatusFeed.watchersMax else {
            throw APIError(
                .serviceUnavailable, "too_many_streams", "\(StatusFeed.watchersMax) clients watch already; close one", retryAfter: .seconds(10))
        }
        watcherCount += 1
        let number = watcherCount
        let (stream, events) = AsyncStream<[ServerEvent]>.makeStream(bufferingPolicy: .bufferingNewest(1))
        watchers[number] = Watcher(kind: kind, events: events)
        events.onTermination = { [weak self] _ in
            // The stream ends outside the actor; nothing waits for this.
            Task { await self?.forget(number) }
        }
        return stream
    }

    private func forget(_ number: Int) { watchers.removeValue(forKey: number) }

    /// Looks and tells until it is cancelled.
    func run() async {
        while !Task.isCancelled {
            await overview.noteFlow()
            if !watchers.isEmpty { await tell() }
            // Cancelled while asleep: the loop's condition ends it.
            try? await Task.sleep(for: StatusFeed.every)
        }
        for watcher in watchers.values { watcher.events.finish() }
    }

    private func tell() async {
        let kinds = Set(watchers.values.map(\.kind))
        let now = await overview.now(logger)
        let events = Dictionary(uniqueKeysWithValues: kinds.map { ($0, overview.events($0, now)) })
        for watcher in watchers.values { if let events = events[watcher.kind] { watcher.events.yield(events) } }
    }
}
