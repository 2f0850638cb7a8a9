/// Why HubSpot gave no usable answer, after all retries that make sense.
public struct HubSpotError: Error, Sendable, Equatable {
    public enum Kind: Sendable, Equatable {
        /// The token is missing, wrong, expired or revoked: stop and tell the user.
        case unauthorized
        /// The token lacks these scopes (unknown if empty): stop and tell the user.
        case missingScopes([String])
        /// No such record, path or version.
        case notFound
        /// The request is wrong as it stands (400, 409, 414 …): never repeat it unchanged.
        case rejected
        /// A rate limit or the day's quota; come back after `retryAfter`.
        case limited
        /// Locked by heavy writes (423): come back in seconds.
        case locked
        /// The account moves between data centres (477): come back after `retryAfter`, up to a day.
        case migrating
        /// HubSpot is down or overloaded (5xx): come back later.
        case unavailable
        /// No connection or no answer in time: come back later.
        case unreachable
        /// The answer was cut short, not JSON, or not what HubSpot documents: come back later.
        case damaged
        /// The caller was cancelled, or the service stops.
        case cancelled
    }

    public let kind: Kind
    /// The HTTP status, if there was an answer.
    public let status: Int?
    /// One sentence for logs and users: no token, no record data.
    public let message: String
    /// What HubSpot's support asks for.
    public let correlationId: String?
    public let retryAfter: Duration?

    public init(_ kind: Kind, status: Int? = nil, _ message: String, correlationId: String? = nil, retryAfter: Duration? = nil) {
        self.kind = kind
        self.status = status
        self.message = message
        self.correlationId = correlationId
        self.retryAfter = retryAfter
    }

    /// Whether the same call may succeed by itself a little later.
    public var isTemporary: Bool {
        switch kind {
        case .limited, .locked, .migrating, .unavailable, .unreachable, .damaged: true
        case .unauthorized, .missingScopes, .notFound, .rejected, .cancelled: false
        }
    }

    /// Whether HubSpot was there, be it to refuse; nil when that cannot be told.
    var isAnswer: Bool? {
        switch kind {
        case .unavailable, .unreachable: false
        // A record that HubSpot cannot put into words, or a proxy's page.
        case .damaged, .cancelled: nil
        case .unauthorized, .missingScopes, .notFound, .rejected, .limited, .locked, .migrating: true
        }
    }

    /// For metrics and logs; one of eleven.
    public var name: String {
        switch kind {
        case .unauthorized: "unauthorized"
        case .missingScopes: "missing_scopes"
        case .notFound: "not_found"
        case .rejected: "rejected"
        case .limited: "limited"
        case .locked: "locked"
        case .migrating: "migrating"
        case .unavailable: "unavailable"
        case .unreachable: "unreachable"
        case .damaged: "damaged"
        case .cancelled: "cancelled"
        }
    }

    static let cancelled = HubSpotError(.cancelled, "the call to HubSpot was cancelled")
}

extension HubSpotError: CustomStringConvertible {
    public var description: String { status.map { "\(name) (HTTP \($0)): \(message)" } ?? "\(name): \(message)" }
}
