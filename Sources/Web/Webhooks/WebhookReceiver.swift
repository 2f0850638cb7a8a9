import Bytes
import HTTPTypes
import Hummingbird
import Logging
import Metrics
import Model
import NIOConcurrencyHelpers
import NIOCore
import Rules
import Signature
import Store
import Sync

/// Takes HubSpot's webhooks: verifies the signature over the raw bytes, stores the events, and only then answers 200.
///
/// Never asks HubSpot for anything; what the events mean is the pool's business.
struct WebhookReceiver {
    let verifier: SignatureVerifier?
    let rejections: RejectionLog
    /// The exact public URL that HubSpot posts to; nil derives it from the request.
    let publicURL: String?
    let trustsProxy: Bool
    let bodyMax: Int
    let writer: InboxWriter
    let pool: Pool
    let account: AccountIdentity
    let counters: WebhookCounters
    private let memory: MemoryBudget

    /// Bodies that are being read at once and their events until they are stored, in bytes; more are asked to come back.
    static let memoryMax = 64 << 20
    /// An event in memory or in the inbox, at most.
    static let eventBytes = 1024

    init(
        verifier: SignatureVerifier?, rejections: RejectionLog, publicURL: String?, trustsProxy: Bool, bodyMax: Int, writer: InboxWriter, pool: Pool,
        account: AccountIdentity, counters: WebhookCounters
    ) {
        self.verifier = verifier
        self.rejections = rejections
        self.publicURL = publicURL
        self.trustsProxy = trustsProxy
        self.bodyMax = bodyMax
        self.writer = writer
        self.pool = pool
        self.account = account
        self.counters = counters
        // The largest body must fit, or it would never be taken.
        memory = MemoryBudget(bytes: max(WebhookReceiver.memoryMax, bodyMax + WebhookBody.eventsMax * WebhookReceiver.eventBytes))
    }

    func add(to router: Router<AppContext>) {
        router.post("/api/webhooks/hubspot") { request, context in try await receive(request, context) }
    }

    private func receive(_ request: Request, _ context: AppContext) async throws -> Response {
        let receivedAt = Timestamp.now, start = ContinuousClock.now
        guard let verifier else { throw reject("no_secret", context, APIError(.unauthorized, "no_client_secret", "No HUBSPOT_CLIENT_SECRET is configured, so no webhook can be verified")) }
        // What carries no signature is not worth reading.
        guard request.headers[.hubspotSignature] != nil || request.headers[.hubspotSignatureV3] != nil else {
            throw reject("missing", context, WebhookReceiver.unsigned)
        }
        let reservation = MemoryBudget.Reservation(of: memory)
        defer { reservation.end() }
        let body = try await read(request, reservation, context)
        let signed = SignedRequest(method: request.method.rawValue, uri: url(of: request), body: body) { request.headers[HTTPField.Name($0)!] }
        let version: SignatureVersion
        switch verifier.verify(signed, nowMs: receivedAt.milliseconds) {
        case .valid(let valid): version = valid
        case .invalid(let reason):
            rejections.note(reason, signed, request, at: receivedAt)
            throw reject(
                reason.rawValue, context,
                APIError(.unauthorized, "bad_signature", "The signature is not valid (\(reason.rawValue)); see HUBSPOT_CLIENT_SECRET and HUBSPOT_WEBHOOK_URL"))
        }
        var events: [WebhookEvent]
        do {
            events = try WebhookBody.events(in: body)
        } catch is WebhookBody.TooManyEvents {
            throw reject("too_many_events", context, WebhookReceiver.tooMany)
        } catch {
            throw reject("bad_body", context, APIError(.badRequest, "bad_body", "The body must be a JSON array of objects: \(error)"))
        }
        // Three bytes can be an event, so what was read may weigh more than what it was read from.
        guard reservation.take(events.reduce(0) { $0 + $1.weight } * WebhookReceiver.eventBytes) else {
            throw reject("busy", context, WebhookReceiver.busy)
        }
        let (marked, foreign) = await account.marked(events)
        events = marked
        if foreign > 0 {
            context.logger.warning(
                "Events come from another HubSpot account: check which account the access token belongs to", metadata: ["events": "\(foreign)"])
            Counter(label: "webhook_events_foreign_total").increment(by: foreign)
        }
        if !events.isEmpty { try await store(Delivery(id: DeliveryID.make(at: receivedAt), receivedAt: receivedAt, signature: version.rawValue, events: events), context) }
        counters.received(events: events.count, at: receivedAt, in: .now - start)
        return Response.json { $0.object { json in
            json.member("success", true)
            json.member("events", events.count)
        } }
    }

    /// The body, whose bytes count against the budget as they arrive: who announces much and sends little takes nothing from others.
    private func read(_ request: Request, _ reservation: MemoryBudget.Reservation, _ context: AppContext) async throws -> [UInt8] {
        let announced = request.headers[.contentLength]
        // More than an integer holds is more than the limit.
        guard announced.map({ Int($0) ?? .max }) ?? 0 <= bodyMax else { throw reject("too_large", context, tooLarge) }
        var body: [UInt8] = []
        do {
            for try await part in request.body {
                guard body.count + part.readableBytes <= bodyMax else { throw reject("too_large", context, tooLarge) }
                guard reservation.take(part.readableBytes) else { throw reject("busy", context, WebhookReceiver.busy) }
                body.append(contentsOf: part.readableBytesView)
            }
        } catch let error as APIError {
            throw error.status == .requestTimeout ? reject("slow", context, error) : error
        } catch {
            // The connection ended or what came was no HTTP: the answer will hardly be read.
            throw reject("cut", context, WebhookReceiver.cut)
        }
        guard announced.map({ Int($0) == body.count }) ?? true else { throw reject("cut", context, WebhookReceiver.cut) }
        return body
    }

    private func store(_ delivery: Delivery, _ context: AppContext) async throws {
        do {
            try await writer.append(delivery, for: pool)
        } catch {
            context.logger.warning("A webhook could not be stored; HubSpot will send it again", metadata: ["error": "\(error)"])
            throw reject(
                "not_stored", context,
                APIError(.serviceUnavailable, "not_stored", "The events cannot be stored now; send them again", retryAfter: .seconds(5)))
        }
    }

    private func reject(_ reason: String, _ context: AppContext, _ error: APIError) -> APIError {
        counters.rejected(reason)
        context.logger.debug("A webhook is refused", metadata: ["reason": "\(reason)"])
        return error
    }

    /// The URL that HubSpot signed: as configured, or as far as the request tells it.
    private func url(of request: Request) -> String {
        if let publicURL { return publicURL }
        let forwardedHost = trustsProxy ? request.forwarded(.xForwardedHost) : nil
        let forwardedScheme = trustsProxy ? request.forwarded(.xForwardedProto) : nil
        let host = forwardedHost ?? request.head.authority ?? ""
        let scheme = forwardedScheme?.lowercased() ?? "http"
        return "\(scheme)://\(host)\(request.head.path ?? "")"
    }

    private static let unsigned = APIError(.unauthorized, "missing_signature", "The request carries no signature of HubSpot's")
    private static let busy = APIError(.serviceUnavailable, "busy", "Too many bodies are being read; send it again", retryAfter: .seconds(1))
    private static let tooMany = APIError(
        .contentTooLarge, "too_many_events", "The body has more than \(WebhookBody.eventsMax) events, merged ids counted in; HubSpot sends 100")
    private static let cut = APIError(.badRequest, "incomplete_body", "The body ended before it was whole")
    private var tooLarge: APIError { APIError(.contentTooLarge, "body_too_large", "The body is larger than WEBHOOK_MAX_BODY (\(bodyMax) bytes)") }
}

/// Sorts by the time of receipt; the random tail keeps instances apart.
enum DeliveryID {
    static func make(at now: Timestamp) -> String {
        var random = CoreRandom()
        return now.iso8601.filter { $0.isNumber } + "-" + String(random.next(), radix: 36)
    }
}

/// Bytes that may be in hand at once.
final class MemoryBudget: Sendable {
    /// What one request has in hand.
    final class Reservation: Sendable {
        private let budget: MemoryBudget
        private let taken = NIOLockedValueBox(0)

        init(of budget: MemoryBudget) { self.budget = budget }

        /// False when there is not as much.
        func take(_ bytes: Int) -> Bool {
            guard budget.take(bytes) else { return false }
            taken.withLockedValue { $0 += bytes }
            return true
        }

        /// Gives everything back.
        func end() {
            budget.give(
                taken.withLockedValue { taken in
                    defer { taken = 0 }
                    return taken
                })
        }
    }

    private let free: NIOLockedValueBox<Int>

    init(bytes: Int) { free = NIOLockedValueBox(bytes) }

    /// False when there is not as much.
    func take(_ bytes: Int) -> Bool {
        free.withLockedValue { free in
            guard free >= bytes else { return false }
            free -= bytes
            return true
        }
    }

    func give(_ bytes: Int) { free.withLockedValue { $0 += bytes } }
}

/// What came in since the start of this instance, for status and metrics.
final class WebhookCounters: Sendable {
    struct Numbers: Sendable {
        /// Events that were accepted.
        var received = 0
        /// Requests that were refused.
        var rejected = 0
        var lastReceivedAt: Timestamp?
    }

    private let box = NIOLockedValueBox(Numbers())
    private static let reasons =
        ["no_secret", "too_large", "busy", "slow", "cut", "bad_body", "not_stored"] + SignatureVerdict.Reason.allCases.map(\.rawValue)

    init() {
        // From the start: Prometheus cannot see a counter rise that begins with 1.
        count(requests: 0, events: 0)
        Counter(label: "webhook_events_foreign_total").increment(by: 0)
        for reason in WebhookCounters.reasons { count(rejected: 0, reason) }
    }

    var numbers: Numbers { box.withLockedValue { $0 } }

    /// - Parameter time: from the request's head to its answer.
    func received(events: Int, at now: Timestamp, in time: Duration) {
        box.withLockedValue { numbers in
            numbers.received += events
            numbers.lastReceivedAt = now
        }
        count(requests: 1, events: events)
        Timer(label: "webhook_seconds").record(duration: time)
    }

    func rejected(_ reason: String) {
        box.withLockedValue { $0.rejected += 1 }
        count(rejected: 1, reason)
    }

    private func count(requests: Int, events: Int) {
        Counter(label: "webhook_requests_total").increment(by: requests)
        Counter(label: "webhook_events_total").increment(by: events)
    }

    private func count(rejected: Int, _ reason: String) {
        Counter(label: "webhook_requests_rejected_total", dimensions: [("reason", reason)]).increment(by: rejected)
    }
}

extension HTTPField.Name {
    static let hubspotSignature = Self(SignatureHeader.signature)!
    static let hubspotSignatureV3 = Self(SignatureHeader.signatureV3)!
}
