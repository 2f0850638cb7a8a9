public import Model
import Glibc
import NIOConcurrencyHelpers

/// The state of the simulated account, and everything that can happen to it.
///
/// Calls are atomic and never wait for anything but each other; the longest, a search over all seeded records, takes some 100 ms a million.
public final class World: Sendable {
    struct State: Sendable {
        var shelves: [RecordType: Shelf]
        var associations = Associations()
        var owners = Owner.all
        var pipelines = Pipeline.all
        var mergeKeepsPrimary: Bool
        var searchLagMs: Int64
        var readLagMs: Int64
        /// How long earlier states are kept.
        var keptMs: Int64 { max(searchLagMs, readLagMs) }
        var searches = SearchCache()
        /// Where events go. Called under the lock, so it must only keep them.
        var sink: (@Sendable ([WorldEvent]) -> Void)?
    }

    let state: NIOLockedValueBox<State>
    let now: @Sendable () -> Int64
    let settings: SimulatorSettings

    /// - Parameter now: the time in milliseconds since 1970.
    public init(settings: SimulatorSettings, now: @escaping @Sendable () -> Int64 = World.wallClock) {
        self.settings = settings
        self.now = now
        state = NIOLockedValueBox(
            State(
                shelves: [
                    .contacts: Shelf(type: .contacts, count: settings.contacts, settings: settings),
                    .companies: Shelf(type: .companies, count: settings.companies, settings: settings),
                    .deals: Shelf(type: .deals, count: settings.deals, settings: settings),
                ], mergeKeepsPrimary: settings.mergeKeepsPrimary, searchLagMs: settings.searchLag.milliseconds,
                readLagMs: settings.readLag.milliseconds))
        guard settings.archivedFromStart > 0 else { return }
        for type in RecordType.allCases {
            let count = state.withLockedValue { $0.shelves[type]!.seeds.count }
            let step = max(1, count / settings.archivedFromStart)
            for index in stride(from: step / 2, to: count, by: step).prefix(settings.archivedFromStart) {
                let id = state.withLockedValue { $0.shelves[type]!.seeds.id(index) }
                // A seeded record is live at the start, so it can be archived.
                try? archive(type, id)
            }
        }
    }

    @Sendable public static func wallClock() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
    }

    // MARK: Switches

    public var mergeKeepsPrimary: Bool {
        get { state.withLockedValue { $0.mergeKeepsPrimary } }
        set { state.withLockedValue { $0.mergeKeepsPrimary = newValue } }
    }

    public func setReadLag(_ lag: Duration) { state.withLockedValue { $0.readLagMs = lag.milliseconds } }

    public func setSearchLag(_ lag: Duration) { state.withLockedValue { $0.searchLagMs = lag.milliseconds } }

    func setSink(_ sink: (@Sendable ([WorldEvent]) -> Void)?) { state.withLockedValue { $0.sink = sink } }

    // MARK: Looking

    /// Live records of a type.
    public func count(_ type: RecordType) -> Int { state.withLockedValue { $0.shelves[type]!.liveCount } }

    public func archivedCount(_ type: RecordType) -> Int { state.withLockedValue { $0.shelves[type]!.archived.count } }

    /// Ids of live records in ascending order, from `id` on.
    public func ids(_ type: RecordType, from id: Int64 = 0, limit: Int = .max) -> [Int64] {
        state.withLockedValue { state in
            var ids: [Int64] = []
            state.shelves[type]!.forEachLive(from: id) { entry in
                ids.append(entry.id)
                return ids.count < limit
            }
            return ids
        }
    }

    /// The id of the seeded record with this index.
    public func seededId(_ type: RecordType, _ index: Int) -> Int64 { state.withLockedValue { $0.shelves[type]!.seeds.id(index) } }

    /// The current value of one property of a live record, merges followed.
    public func value(_ type: RecordType, _ id: Int64, _ property: String) -> String? {
        state.withLockedValue { state in
            let shelf = state.shelves[type]!
            guard let entry = shelf.resolved(id), entry.state.fate == .live else { return nil }
            return shelf.value(property, of: entry)
        }
    }

    public func propertyNames(_ type: RecordType) -> [String] {
        state.withLockedValue { $0.shelves[type]!.catalog.all.map(\.name) }
    }
}
