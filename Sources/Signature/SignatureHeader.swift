/// The headers in which a signature travels.
public enum SignatureHeader {
    /// v1 or v2.
    public static let signature = "X-HubSpot-Signature"
    /// Which of the two the former is.
    public static let version = "X-HubSpot-Signature-Version"
    public static let signatureV3 = "X-HubSpot-Signature-v3"
    /// Milliseconds since 1970, signed by v3.
    public static let timestamp = "X-HubSpot-Request-Timestamp"
}
