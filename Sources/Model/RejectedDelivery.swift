/// A webhook request whose signature was refused, with what would have made it right.
///
/// Holds no body, no signature and no address: of the sender's words only those that tell how the request came to be refused.
public struct RejectedDelivery: Sendable, Equatable, Identifiable {
    /// A way to compute the signature that gives the one that was sent.
    public struct Match: Sendable, Equatable {
        /// `v1`, `v2` or `v3`.
        public let version: String
        /// The URL that it was computed over; nil for v1, which covers none.
        public let url: String?
        /// Which of the configured secrets, counted from 1.
        public let secret: Int

        public init(version: String, url: String?, secret: Int) {
            self.version = version
            self.url = url
            self.secret = secret
        }
    }

    /// Sorts by the time of receipt.
    public let id: String
    public let receivedAt: Timestamp
    /// `missing`, `malformed`, `expired`, `mismatch` or `versionNotAllowed`.
    public let reason: String
    public let method: String
    /// The URL that the signature was checked against.
    public let url: String
    /// Headers as they came, nil for one that did not.
    public let host: String?
    public let forwardedHost: String?
    public let forwardedProto: String?
    /// The versions that the request was signed in, by its headers.
    public let versions: [String]
    /// How old the v3 timestamp was at the receipt, negative for one from the future; nil for none.
    public let ageMs: Int64?
    public let bodyBytes: Int
    /// SHA-256 of the body in hexadecimal, to compare with what a proxy logs.
    public let bodyHash: String
    /// nil when the body was too long to try.
    public let matches: [Match]?

    public init(
        id: String, receivedAt: Timestamp, reason: String, method: String, url: String, host: String?, forwardedHost: String?,
        forwardedProto: String?, versions: [String], ageMs: Int64?, bodyBytes: Int, bodyHash: String, matches: [Match]?
    ) {
        self.id = id
        self.receivedAt = receivedAt
        self.reason = reason
        self.method = method
        self.url = url
        self.host = host
        self.forwardedHost = forwardedHost
        self.forwardedProto = forwardedProto
        self.versions = versions
        self.ageMs = ageMs
        self.bodyBytes = bodyBytes
        self.bodyHash = bodyHash
        self.matches = matches
    }
}
