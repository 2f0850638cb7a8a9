import HTTPTypes
import Hummingbird
import Logging
import Model
import NIOConcurrencyHelpers
import Signature
import Store

/// Keeps what is needed to explain refused signatures, a few a minute: whoever knows the address can make them.
///
/// The diagnosis is made here and now, where the body is, so that no body has to be kept: it may hold personal data, and nothing vouches
/// for its sender.
final class RejectionLog: Sendable {
    /// More are refused all the same, but not looked into.
    static let perMinute = 6
    /// HubSpot's usual requests are below 40 KB. Longer ones are noted without a diagnosis.
    static let bodyMax = 64 << 10
    /// Of a URL or a header, in characters; an honest one is shorter.
    private static let textMax = 512

    private let diagnosis: SignatureDiagnosis
    private let publicURL: String?
    private let store: RejectedStore
    private let logger: Logger
    private let recent = NIOLockedValueBox<[Timestamp]>([])
    private let waiting: AsyncStream<RejectedDelivery>
    private let continuation: AsyncStream<RejectedDelivery>.Continuation

    init(secrets: [String], publicURL: String?, store: RejectedStore, logger: Logger) throws {
        diagnosis = try SignatureDiagnosis(secrets: secrets)
        self.publicURL = publicURL
        self.store = store
        self.logger = logger
        (waiting, continuation) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(RejectedStore.max))
    }

    /// Notes a refusal, if there were not too many just now. Does not wait for MongoDB.
    func note(_ reason: SignatureVerdict.Reason, _ signed: SignedRequest, _ request: Request, at now: Timestamp) {
        guard takeTurn(now) else { return }
        func header(_ name: HTTPField.Name) -> String? { request.headers[name].map { String($0.prefix(RejectionLog.textMax)) } }
        let host = request.head.authority.map { String($0.prefix(RejectionLog.textMax)) }
        let forwardedHost = header(.xForwardedHost)
        let target = request.head.path ?? ""
        var matches: [RejectedDelivery.Match]?
        if signed.body.count <= RejectionLog.bodyMax, target.utf8.count <= RejectionLog.textMax {
            let hosts = [host, forwardedHost.map { String($0.prefix { $0 != "," }) }].compactMap(\.self).filter { !$0.isEmpty }
            matches = diagnosis.matches(of: signed, uris: SignatureDiagnosis.uris(configured: publicURL, hosts: hosts, target: target)).map {
                RejectedDelivery.Match(version: $0.version.rawValue, url: $0.uri, secret: $0.secret + 1)
            }
        }
        var versions: [String] = []
        if signed.signatureV3 != nil { versions.append("v3") }
        if signed.signature != nil { versions.append(String((signed.version ?? "v1").prefix(10))) }
        continuation.yield(
            RejectedDelivery(
                id: DeliveryID.make(at: now), receivedAt: now, reason: reason.rawValue, method: signed.method,
                url: String(signed.uri.prefix(RejectionLog.textMax)), host: host, forwardedHost: forwardedHost,
                forwardedProto: header(.xForwardedProto), versions: versions,
                ageMs: signed.timestamp.flatMap { $0.utf8.count <= 16 ? Int64($0) : nil }.map { now.milliseconds - $0 },
                bodyBytes: signed.body.count, bodyHash: SignatureDiagnosis.hash(signed.body), matches: matches))
    }

    private func takeTurn(_ now: Timestamp) -> Bool {
        recent.withLockedValue { recent in
            recent.removeAll { now - $0 >= .seconds(60) }
            guard recent.count < RejectionLog.perMinute else { return false }
            recent.append(now)
            return true
        }
    }

    /// Stores what is noted until it is cancelled. What cannot be stored is only told to the log.
    func run() async {
        for await rejected in waiting {
            do {
                try await store.add(rejected)
            } catch {
                logger.debug("A refused webhook could not be noted", metadata: ["error": "\(error)"])
            }
        }
    }
}
