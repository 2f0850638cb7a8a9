internal import Bytes
internal import Model
internal import Mongo
import NIOConcurrencyHelpers

/// Tells whether the mirror may have changed since it was read, so that what was found then need not be looked for again.
///
/// While anybody asks, it waits for the next change in MongoDB, whoever makes it. After one it knows nothing for a tenth of a second: bulk work
/// costs it no more than a single change does, and while nobody asks it costs nothing.
public final class MirrorWatch: Sendable {
    private static let rest: Duration = .milliseconds(100)
    private static let restAfterFailure: Duration = .seconds(2)
    private static let wait: Duration = .seconds(1)
    private static let unaskedMax: Duration = .seconds(60)

    private struct State {
        var revision: UInt64 = 0
        var isWatched = false
        var askedAt: CoreClock.Instant?
    }

    private let database: MongoDatabase
    private let state = NIOLockedValueBox(State())
    private let wakes: AsyncStream<Void>
    private let wake: AsyncStream<Void>.Continuation

    init(database: MongoDatabase) {
        self.database = database
        (wakes, wake) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    /// A number that stays the same only while no record changes; nil while that is not known.
    ///
    /// What this process writes is known when the write returns, what others write some milliseconds after it was confirmed.
    public var revision: UInt64? {
        let now = CoreClock.now
        let (revision, wasAsked) = state.withLockedValue { state in
            defer { state.askedAt = now }
            return (state.isWatched ? state.revision : nil, state.askedAt != nil)
        }
        if !wasAsked { wake.yield() }
        return revision
    }

    /// This process has written records, or may have.
    func changed() {
        state.withLockedValue {
            $0.revision += 1
            $0.isWatched = false
        }
    }

    /// Watches while anybody asks, until it is cancelled.
    public func run() async {
        var waiting = wakes.makeAsyncIterator()
        while !Task.isCancelled {
            guard isAsked else {
                await waiting.next()
                continue
            }
            let rest: Duration
            do {
                try await watch()
                rest = MirrorWatch.rest
            } catch {
                // Who reads will be told.
                rest = MirrorWatch.restAfterFailure
            }
            changed()
            // Cancelled while asleep: the loop's condition ends it.
            try? await Task.sleep(for: rest, clock: .core)
        }
    }

    /// Returns after the next change, and when nobody has asked for long.
    private func watch() async throws {
        var position: String?
        while !Task.isCancelled, isAsked {
            let from = position
            let found = try await database.run { try $0.changes(after: from, MirrorWatch.stages, limit: 1, wait: MirrorWatch.wait) }
            guard found.events.isEmpty else { return }
            position = found.token
            // Also after a write of our own that came before the position.
            state.withLockedValue { $0.isWatched = true }
        }
    }

    private var isAsked: Bool {
        state.withLockedValue { state in
            if let askedAt = state.askedAt, CoreClock.now - askedAt < MirrorWatch.unaskedMax { return true }
            state.askedAt = nil
            return false
        }
    }

    private static let stages: [BSONDocument] = [
        ["$match": ["$or": [["ns.coll": .anyOf(RecordType.allCases.map(\.rawValue))], ["operationType": "dropDatabase"]]]],
        ["$project": ["operationType": 1]],
    ]
}

/// What was found in the mirror, for as long as nothing in it changes.
public final class WhileUnchanged<Key: Hashable & Sendable, Value: Sendable>: Sendable {
    private let watch: MirrorWatch
    private let entriesMax: Int
    private let found = NIOLockedValueBox<(revision: UInt64, values: [Key: Value])>((0, [:]))

    /// - Parameter entriesMax: beyond it all is forgotten.
    public init(_ watch: MirrorWatch, entriesMax: Int = 1000) {
        self.watch = watch
        self.entriesMax = entriesMax
    }

    /// To be asked for before the mirror is read, and given to `note`.
    public var revision: UInt64? { watch.revision }

    /// nil also when the mirror may have changed since.
    public func value(of key: Key) -> Value? {
        guard let revision = watch.revision else { return nil }
        return found.withLockedValue { $0.revision == revision ? $0.values[key] : nil }
    }

    /// - Parameter revision: from before the mirror was read.
    public func note(_ value: Value, of key: Key, at revision: UInt64?) {
        guard let revision else { return }
        found.withLockedValue { found in
            guard revision >= found.revision else { return }
            if revision > found.revision || found.values.count >= entriesMax { found.values.removeAll() }
            found.revision = revision
            found.values[key] = value
        }
    }
}
