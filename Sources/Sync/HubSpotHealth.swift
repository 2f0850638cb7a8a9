public import HubSpot
import Model
import Rules

/// Whether HubSpot answers, asked at most twice a minute however often the status page is read.
public actor HubSpotHealth {
    static let lifetime: Duration = .seconds(30)

    private let hubspot: HubSpotClient
    private var last: (isReachable: Bool, askedAt: CoreClock.Instant)?
    private var asking: Task<Bool, Never>?

    public init(hubspot: HubSpotClient) { self.hubspot = hubspot }

    /// True when HubSpot answered the cheapest call, even if it refused the scope for that one or asks to come back later.
    public func isReachable() async -> Bool {
        if let last, CoreClock.now - last.askedAt < HubSpotHealth.lifetime { return last.isReachable }
        if let asking { return await asking.value }
        // Shared by all who ask at once, so it belongs to none of them.
        let task = Task { [hubspot] in await HubSpotHealth.ask(hubspot) }
        asking = task
        let isReachable = await task.value
        asking = nil
        last = (isReachable, .now)
        return isReachable
    }

    /// What is known without waiting, asked for anew when it is old; nil before the first answer.
    public func lastKnown() -> Bool? {
        if asking == nil, last.map({ CoreClock.now - $0.askedAt >= HubSpotHealth.lifetime }) ?? true {
            // Nobody waits for it: the next one who looks sees what came of it.
            Task { await self.isReachable() }
        }
        return last?.isReachable
    }

    private static func ask(_ hubspot: HubSpotClient) async -> Bool {
        do {
            _ = try await hubspot.account(as: .live)
            return true
        } catch {
            switch error.kind {
            case .missingScopes, .notFound, .rejected, .limited, .locked, .migrating: return true
            case .unauthorized, .unavailable, .unreachable, .damaged, .cancelled: return false
            }
        }
    }

    public func budget() async -> BudgetSnapshot { await hubspot.budget }
}
