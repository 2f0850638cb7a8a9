public import HubSpot
public import Logging
public import Model
import Rules
public import ServiceLifecycle

/// Which HubSpot account the access token belongs to, learned at the start and asked for until it is known.
///
/// Receiving never waits for HubSpot: until the account is known every event passes, and records are read with our own token in
/// any case.
public actor AccountIdentity: Service {
    private static let askEvery: Duration = .seconds(30)

    private let hubspot: HubSpotClient
    private let logger: Logger
    public private(set) var portalId: Int64?

    public init(hubspot: HubSpotClient, logger: Logger) {
        self.hubspot = hubspot
        self.logger = logger
    }

    /// The events that are this account's, or that do not say whose they are.
    public func own(_ events: [WebhookEvent]) -> [WebhookEvent] {
        guard let portalId, events.contains(where: { $0.portalId != nil && $0.portalId != portalId }) else { return events }
        return events.filter { $0.portalId == nil || $0.portalId == portalId }
    }

    public func run() async throws {
        await cancelWhenGracefulShutdown {
            while await !self.ask(), !Task.isCancelled {
                // Cancelled while asleep: the loop's condition ends it.
                try? await Task.sleep(for: AccountIdentity.askEvery)
            }
        }
        try await gracefulShutdown()
    }

    /// False while it is worth asking again.
    private func ask() async -> Bool {
        do {
            portalId = try await hubspot.account(as: .live).portalId
            logger.info("HubSpot account", metadata: ["portal": "\(portalId ?? 0)"])
            return true
        } catch {
            if case .missingScopes = error.kind {
                logger.warning("The account's id cannot be read with this token; events are not checked for it")
                return true
            }
            logger.warning("The HubSpot account cannot be read yet", metadata: ["error": "\(error)"])
            return false
        }
    }
}
