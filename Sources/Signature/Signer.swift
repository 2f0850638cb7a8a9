internal import Bytes

/// Signs requests as HubSpot does: for the simulator and for `webhook send`.
///
/// The verifier computes through the same functions; that both equal HubSpot's is shown by the published vectors.
public struct Signer: Sendable {
    private let secret: String
    private let authenticator: MessageAuthenticator

    /// - Throws: `.noSecret` for an empty one.
    public init(secret: String) throws(SignatureError) {
        self.secret = secret
        authenticator = try MessageAuthenticator(key: Array(secret.utf8))
    }

    /// The value of `X-HubSpot-Signature` under version v1.
    public func v1(body: [UInt8]) -> String { Hexadecimal.encode(digestV1(body: body)) }

    /// The value of `X-HubSpot-Signature` under version v2.
    public func v2(method: String, uri: String, body: [UInt8]) -> String {
        Hexadecimal.encode(digestV2(method: method, uri: uri, body: body))
    }

    /// The value of `X-HubSpot-Signature-v3`.
    public func v3(method: String, uri: String, body: [UInt8], timestampMs: Int64) -> String {
        let uri = SignedURI.decode(uri)
        return Base64.standard.encode(tagV3(method: method, uri: uri, body: body, timestamp: String(timestampMs)))
    }

    /// All headers of a delivery to `uri`: v1 and v3 together, as HubSpot's webhook subscriptions send them.
    public func headers(method: String, uri: String, body: [UInt8], timestampMs: Int64) -> [(name: String, value: String)] {
        [
            (SignatureHeader.signature, v1(body: body)),
            (SignatureHeader.version, SignatureVersion.v1.rawValue),
            (SignatureHeader.signatureV3, v3(method: method, uri: uri, body: body, timestampMs: timestampMs)),
            (SignatureHeader.timestamp, String(timestampMs)),
        ]
    }
}

// MARK: - Raw values, 32 bytes each

extension Signer {
    func digestV1(body: [UInt8]) -> [UInt8] {
        let digest = RunningDigest()
        digest.update(secret)
        digest.update(body)
        return digest.finish()
    }

    func digestV2(method: String, uri: String, body: [UInt8]) -> [UInt8] {
        let digest = RunningDigest()
        digest.update(secret)
        digest.update(method)
        digest.update(uri)
        digest.update(body)
        return digest.finish()
    }

    /// - Parameter uri: already in the form to be signed.
    func tagV3(method: String, uri: String, body: [UInt8], timestamp: String) -> [UInt8] {
        let mac = authenticator.begin()
        mac.update(method)
        mac.update(uri)
        mac.update(body)
        mac.update(timestamp)
        return mac.finish()
    }
}
