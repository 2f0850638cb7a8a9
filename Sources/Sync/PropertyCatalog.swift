public import HubSpot
public import Model
public import Rules

/// The names of all properties of each type, read from HubSpot and kept for a while: reading records takes naming every property.
public actor PropertyCatalog {
    /// A new custom property appears in live reads after at most this long; a sync always asks anew.
    static let lifetime: Duration = .seconds(300)

    private let hubspot: HubSpotClient
    private var cached: [RecordType: (names: [String], readAt: ContinuousClock.Instant)] = [:]

    public init(hubspot: HubSpotClient) { self.hubspot = hubspot }

    /// - Returns: property names in HubSpot's order, none twice.
    public func names(of type: RecordType, isFresh: Bool = false, as callClass: CallClass) async throws -> [String] {
        if !isFresh, let cached = cached[type], ContinuousClock.now - cached.readAt < PropertyCatalog.lifetime { return cached.names }
        let definitions = try await hubspot.propertyDefinitions(of: type, as: callClass)
        var seen: Set<String> = []
        let names = definitions.map(\.name).filter { seen.insert($0).inserted }
        cached[type] = (names, .now)
        return names
    }
}
