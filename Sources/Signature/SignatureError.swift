/// Why a verifier or signer cannot be made. Judging a request never throws.
public struct SignatureError: Error, Sendable, CustomStringConvertible {
    public enum Kind: Sendable {
        /// No secret, or an empty one, with which anybody could sign.
        case noSecret
        /// OpenSSL has no HMAC-SHA256 to offer.
        case unavailable
    }

    public let kind: Kind

    public var description: String {
        switch kind {
        case .noSecret: "a secret that signs must not be empty"
        case .unavailable: "OpenSSL offers no HMAC-SHA256 in this configuration"
        }
    }
}
