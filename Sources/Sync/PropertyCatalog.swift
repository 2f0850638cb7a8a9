public import HubSpot
public import Model
public import Rules
public import Store

/// The names of all properties of each type, read from HubSpot and kept for a while: reading records takes naming every property.
///
/// Every list that is read also goes into the mirror of definitions.
public actor PropertyCatalog {
    /// A new custom property appears in live reads after at most this long; a sync always asks anew.
    static let lifetime: Duration = .seconds(300)
    /// Records that changed after a property was made, and were read without it, are looked for this long: every instance has read the
    /// names anew long before.
    static let newFor: Duration = .seconds(3_600)

    private let hubspot: HubSpotClient
    private let store: Store?
    private var cached: [RecordType: (names: [String], readAt: CoreClock.Instant)] = [:]
    /// Yields when a sync begins, since that asks for names.
    nonisolated let syncs: AsyncStream<Void>
    private let sync: AsyncStream<Void>.Continuation

    /// - Parameter store: nil where nothing is mirrored.
    public init(hubspot: HubSpotClient, store: Store? = nil) {
        self.hubspot = hubspot
        self.store = store
        (syncs, sync) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    /// - Returns: property names in HubSpot's order, none twice.
    public func names(of type: RecordType, isFresh: Bool = false, as callClass: CallClass) async throws -> [String] {
        if !isFresh, let cached = cached[type], CoreClock.now - cached.readAt < PropertyCatalog.lifetime { return cached.names }
        let names = try await refresh(type, as: callClass)
        if isFresh { sync.yield() }
        return names
    }

    /// Reads the names anew.
    func refresh(_ type: RecordType, as callClass: CallClass) async throws -> [String] {
        let readAt = Timestamp.now
        let definitions = try await hubspot.definitions(.properties(type), as: callClass)
        // With none, HubSpot would show its few default ones, and the mirror would lose all others.
        guard !definitions.isEmpty else { throw HubSpotError(.damaged, "HubSpot lists no properties of \(type.rawValue)") }
        var seen: Set<String> = []
        // What the mirror's own fields are read from is asked for in any case; HubSpot passes over names that it does not know.
        let names = (definitions.map(\.id) + type.neededProperties).filter { seen.insert($0).inserted }
        cached[type] = (names, .now)
        // Reading records must not fail for it: the next list is written too.
        try? await mirror(definitions, of: type, at: readAt)
        return names
    }

    private func mirror(_ definitions: [Definition], of type: RecordType, at readAt: Timestamp) async throws {
        guard let store else { return }
        try await store.definitions.replace(.properties(type), with: definitions, at: readAt)
        let new = definitions.filter { $0.createdAt.map { $0 > readAt - PropertyCatalog.newFor } ?? false }
        try await store.writer.markReadWithout(new, of: type)
    }
}
