import Bytes
import HubSpot
import Hummingbird
import Logging
import Mongo
import NIOConcurrencyHelpers
import Rules
import Store

/// Where an answer to a read comes from.
enum ReadSource {
    case mirror, hubspot, fallback

    func write(to json: inout JSONWriter) {
        json.member("source", self == .mirror ? "mongodb" : "hubspot")
        json.member("synced", self == .mirror)
        if self == .fallback { json.member("fallback", true) }
    }
}

/// The mirror and HubSpot, of which a read is answered by the one that is asked for and there. Neither is waited for while it is known to
/// be away: then one look every few seconds finds out when it is back.
struct ReadSources: Sendable {
    /// From a failure of MongoDB to the next look at it.
    static let pause: Duration = .seconds(2)

    let mirror: MirrorReader
    let hubspot: HubSpotClient
    /// One failure is enough: the driver has looked for a server for as long as it does.
    private let breaker = NIOLockedValueBox(CircuitBreaker(failuresMax: 1, pause: ReadSources.pause))
    private let origin = ContinuousClock.now

    init(mirror: MirrorReader, hubspot: HubSpotClient) {
        self.mirror = mirror
        self.hubspot = hubspot
    }

    /// What neither can answer while MongoDB is away.
    static let mirrorIsAway = APIError(
        .serviceUnavailable, "mongodb_unreachable", "MongoDB does not answer at present, and HubSpot cannot answer this; try again shortly",
        retryAfter: pause)

    /// Asks the mirror, and HubSpot when the request says so or MongoDB fails.
    ///
    /// - Parameter goesOnLive: whether HubSpot answered the page before.
    func ask<Answer>(
        _ request: Request, _ context: AppContext, goesOnLive: Bool = false, mirror: () async throws -> Answer,
        live: (ReadSource) async throws -> Answer
    ) async throws -> (Answer, ReadSource) {
        guard try request.flag("useSync") ?? true else { return (try await askHubSpot { try await live(.hubspot) }, .hubspot) }
        if !goesOnLive, isMirrorWorthACall() {
            do {
                let answer = try await mirror()
                breaker.withLockedValue { $0.answered() }
                return (answer, .mirror)
            } catch let error as MongoError {
                if error.kind == .unreachable { breaker.withLockedValue { $0.failed(at: now) } }
                context.logger.warning("The mirror failed; HubSpot answers instead", metadata: ["error": "\(error)"])
            }
        }
        return (try await askHubSpot { try await live(.fallback) }, .fallback)
    }

    /// - Throws: `APIError` 503 at once while HubSpot is known to be away.
    func askHubSpot<Answer>(_ body: () async throws -> Answer) async throws -> Answer {
        if let wait = await hubspot.outage() {
            throw APIError(.serviceUnavailable, "hubspot_unreachable", "HubSpot does not answer at present; try again shortly", retryAfter: wait)
        }
        return try await body()
    }

    private func isMirrorWorthACall() -> Bool {
        switch breaker.withLockedValue({ $0.decide(at: now) }) {
        case .call: return true
        case .avoid: return false
        case .avoidAndProbe:
            // For all who read meanwhile, so it belongs to none of them; it ends by the driver's time-outs.
            Task {
                let isThere = await mirror.isReachable()
                breaker.withLockedValue { isThere ? $0.answered() : $0.failed(at: now) }
            }
            return false
        }
    }

    private var now: Duration { ContinuousClock.now - origin }
}
