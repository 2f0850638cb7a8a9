/// Whether a request comes from who holds the client secret.
public enum SignatureVerdict: Sendable, Hashable {
    case valid(SignatureVersion)
    case invalid(Reason)

    /// For logs, metrics and error codes; tells a caller nothing that helps to forge.
    public enum Reason: String, Sendable, CaseIterable {
        /// No signature header, or v3 without its timestamp.
        case missing
        /// A header that HubSpot would not send: an unknown version, not base64, not hexadecimal, not a number.
        case malformed
        /// The timestamp is more than five minutes from now, before or after.
        case expired
        /// No secret makes this signature of this request: another secret, another URL, or a changed body.
        case mismatch
        /// Signed only in ways that this service is configured not to accept.
        case versionNotAllowed
    }
}
