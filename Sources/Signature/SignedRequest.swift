/// What a signature is about, as it came over the wire: nothing parsed, nothing normalised.
public struct SignedRequest: Sendable {
    /// As in the request line, upper case.
    public var method: String
    /// The whole URL that HubSpot posted to: scheme, host, path and query, still escaped.
    public var uri: String
    /// `X-HubSpot-Signature`.
    public var signature: String?
    /// `X-HubSpot-Signature-Version`.
    public var version: String?
    /// `X-HubSpot-Signature-v3`.
    public var signatureV3: String?
    /// `X-HubSpot-Request-Timestamp`.
    public var timestamp: String?
    public var body: [UInt8]

    public init(
        method: String, uri: String, signature: String? = nil, version: String? = nil, signatureV3: String? = nil,
        timestamp: String? = nil, body: [UInt8]
    ) {
        self.method = method
        self.uri = uri
        self.signature = signature
        self.version = version
        self.signatureV3 = signatureV3
        self.timestamp = timestamp
        self.body = body
    }

    /// - Parameter header: the value of the header of that name (`SignatureHeader`), nil when the request has none.
    public init(method: String, uri: String, body: [UInt8], header: (String) -> String?) {
        self.init(
            method: method, uri: uri, signature: header(SignatureHeader.signature), version: header(SignatureHeader.version),
            signatureV3: header(SignatureHeader.signatureV3), timestamp: header(SignatureHeader.timestamp), body: body)
    }
}
