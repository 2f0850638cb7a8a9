internal import Bytes
internal import Curl
internal import FoundationEssentials
internal import Rules

extension HubSpotClient {
    /// Why an attempt failed, with what only the limiter needs to know.
    struct Failure: Error {
        let error: HubSpotError
        var policy = RateBudget.Policy.burst

        init(_ error: HubSpotError) { self.error = error }
    }

    /// An answer that is not what HubSpot documents. The message holds nothing of it.
    struct Damage: Error {
        let message: String

        init(_ message: String) { self.message = message }

        init(of body: [UInt8], because error: any Error) {
            if body.first(where: { $0 > 0x20 }) == UInt8(ascii: "<") {
                message = "HubSpot's answer is an HTML page"
            } else if let error = error as? JSONError {
                message = "HubSpot's answer cannot be read: \(error)"
            } else {
                message = "HubSpot's answer has not the documented form"
            }
        }
    }
}

extension HubSpotClient.Failure {
    /// The failure that a status stands for; nil for a success, 207 included.
    ///
    /// - Source: platform page, sections 6 and 7.3.
    init?(_ response: CurlResponse, hiding token: String) {
        let status = response.status
        guard !(200...299).contains(status) else { return nil }
        let body = try? JSONDecoder().decode(ErrorBody.self, from: Data(response.body))  // what cannot be read is not quoted
        let kind: HubSpotError.Kind
        var fallback: String
        switch status {
        case 401: (kind, fallback) = (.unauthorized, "HubSpot does not accept the access token")
        case 403:
            let scopes = body?.scopes ?? []
            kind = .missingScopes(scopes)
            fallback = "the access token lacks a scope"
            if !scopes.isEmpty { fallback += " (" + HubSpotClient.quotable(scopes.joined(separator: " or "), hiding: token) + ")" }
        case 404 where body != nil || response.body.isEmpty: (kind, fallback) = (.notFound, "HubSpot knows no such record or path")
        // Not HubSpot's API but some web server: no word about whether a record exists.
        case 404: (kind, fallback) = (.damaged, "the answer to a call that HubSpot would answer with JSON is another page")
        case 423: (kind, fallback) = (.locked, "HubSpot has locked the record for a moment")
        case 429: (kind, fallback) = (.limited, "HubSpot's rate limit is used up")
        case 477: (kind, fallback) = (.migrating, "HubSpot is moving the account to another data centre")
        case 414: (kind, fallback) = (.rejected, "the URL is too long for HubSpot")
        case 300...399: (kind, fallback) = (.rejected, "HubSpot's address answers with a redirect, which is not followed")
        case 408, 500...599: (kind, fallback) = (.unavailable, "HubSpot is not available")
        default: (kind, fallback) = (.rejected, "HubSpot refuses the request")
        }
        if let message = body?.message, !message.isEmpty { fallback += ": " + HubSpotClient.quotable(message, hiding: token) }
        self.init(
            HubSpotError(
                kind, status: status, fallback, correlationId: body?.correlationId.map { String($0.prefix(64)) } ?? response.correlationId,
                retryAfter: response.retryAfter))
        policy = RateBudget.Policy(name: body?.policyName)
    }

    private struct ErrorBody: Decodable {
        var message: String?
        var correlationId: String?
        var policyName: String?
        var scopes: [String] = []

        private enum Keys: String, CodingKey { case message, correlationId, policyName, errors }
        private struct Detail: Decodable {
            struct Context: Decodable { let requiredGranularScopes: [String]? }
            let context: Context?
        }

        /// Every field is optional in practice, and a field of another kind must not hide the rest: hence `try?`.
        init(from decoder: any Decoder) throws {
            let fields = try decoder.container(keyedBy: Keys.self)
            message = try? fields.decode(String.self, forKey: .message)
            correlationId = try? fields.decode(String.self, forKey: .correlationId)
            policyName = try? fields.decode(String.self, forKey: .policyName)
            let details = try? fields.decode([Detail].self, forKey: .errors)
            scopes = (details ?? []).flatMap { $0.context?.requiredGranularScopes ?? [] }
        }
    }
}

extension HubSpotClient {
    /// HubSpot's words as one short line without control characters and without the token, should they repeat it.
    static func quotable(_ message: String, hiding token: String) -> String {
        var text = String(message.unicodeScalars.prefix(2000).map { $0.value < 0x20 || $0.value == 0x7F ? " " : Character($0) })
        if !token.isEmpty { text = text.replacing(token, with: "…") }
        return String(text.prefix(300))
    }
}

extension CurlResponse {
    var correlationId: String? { headers["x-hubspot-correlation-id"].map { String($0.prefix(64)) } }

    /// Seconds; a date, which HubSpot does not send, is ignored.
    var retryAfter: Duration? {
        guard let text = headers["Retry-After"], let seconds = Double(text), seconds.isFinite, seconds >= 0 else { return nil }
        return .milliseconds(Int64(min(seconds, 86_400 * 7) * 1000))
    }
}

extension HubSpotError {
    init(_ error: CurlError) {
        switch error.kind {
        case .connect, .timeout, .tls: self.init(.unreachable, "HubSpot cannot be reached: \(error.message)")
        case .cutShort: self.init(.damaged, "HubSpot's answer was cut short: \(error.message)")
        case .tooLarge: self.init(.rejected, "HubSpot's answer is too large: \(error.message)")
        case .malformed: self.init(.rejected, error.message)
        case .cancelled, .stopped: self = .cancelled
        }
    }
}
