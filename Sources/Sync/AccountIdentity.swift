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
    private var uiDomain = AccountIdentity.defaultDomain
    private static let defaultDomain = "app.hubspot.com"

    public init(hubspot: HubSpotClient, logger: Logger) {
        self.hubspot = hubspot
        self.logger = logger
    }

    /// Marks those that say that they are another account's.
    ///
    /// - Returns: all of them, and how many those are.
    public func marked(_ events: [WebhookEvent]) -> (events: [WebhookEvent], foreign: Int) {
        guard let portalId else { return (events, 0) }
        var events = events
        var foreign = 0
        for index in events.indices where events[index].portalId ?? portalId != portalId {
            events[index].isForeign = true
            foreign += 1
        }
        return (events, foreign)
    }

    /// Where the record is shown in HubSpot; nil until the account is known.
    ///
    /// - Source: platform page, section 5.2.
    public func link(to key: RecordKey) -> String? {
        portalId.map { "https://\(uiDomain)/contacts/\($0)/record/\(key.type.objectTypeId)/\(key.id)" }
    }

    private static func isHostByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."): true
        default: false
        }
    }

    public func run() async throws {
        await cancelWhenGracefulShutdown {
            while await !self.ask(), !Task.isCancelled {
                // Cancelled while asleep: the loop's condition ends it.
                try? await Task.sleep(for: AccountIdentity.askEvery, clock: .core)
            }
        }
        try await gracefulShutdown()
    }

    /// False while it is worth asking again.
    private func ask() async -> Bool {
        do {
            let account = try await hubspot.account(as: .live)
            portalId = account.portalId
            // It becomes part of links, so nothing but a host of HubSpot's is believed.
            if let domain = account.uiDomain, domain.hasSuffix(".hubspot.com"), domain.utf8.allSatisfy(AccountIdentity.isHostByte) {
                uiDomain = domain
            }
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
