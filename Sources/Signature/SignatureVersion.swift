/// The ways in which HubSpot signs a request (platform page, section 4.1).
public enum SignatureVersion: String, Sendable, CaseIterable {
    /// SHA-256 of secret and body, in hexadecimal: says nothing about the URL, never expires.
    case v1
    /// SHA-256 of secret, method, URI and body, in hexadecimal: never expires.
    case v2
    /// HMAC-SHA256 of method, URI, body and timestamp, in base64: expires after five minutes.
    case v3
}
