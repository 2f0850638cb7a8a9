internal import Bytes

/// Finds out how a refused request was signed, by trying every version over every likely form of the URL with every secret.
///
/// Says nothing about whether the request may be accepted: an expired signature matches here too.
public struct SignatureDiagnosis: Sendable {
    /// A way to sign that gives the signature that came.
    public struct Match: Sendable, Equatable {
        public let version: SignatureVersion
        /// nil for v1, which covers no URL.
        public let uri: String?
        /// Index into `secrets`.
        public let secret: Int
    }

    private let signers: [Signer]

    /// - Throws: `.noSecret` for an empty one.
    public init(secrets: [String]) throws(SignatureError) {
        var signers: [Signer] = []
        for secret in secrets { signers.append(try Signer(secret: secret)) }
        self.signers = signers
    }

    /// Every match, v3 first; `request.uri` is tried before `uris`. Cost: up to two hashes of the body for each secret and URL.
    public func matches(of request: SignedRequest, uris: [String]) -> [Match] {
        var seen: Set<String> = []
        let uris = ([request.uri] + uris).filter { seen.insert($0).inserted }
        let tag = request.signatureV3.flatMap { Base64.standard.decode($0) }
        let digest = request.signature.flatMap { Hexadecimal.decode($0) }
        var matches: [Match] = []
        for (index, signer) in signers.enumerated() {
            for uri in uris {
                // A URL that is signed decoded is named as it is configured.
                if let tag, let timestamp = request.timestamp,
                    Set([uri, SignedURI.decode(uri)]).contains(where: {
                        constantTimeEquals(signer.tagV3(method: request.method, uri: $0, body: request.body, timestamp: timestamp), tag)
                    })
                {
                    matches.append(Match(version: .v3, uri: uri, secret: index))
                }
                if let digest, constantTimeEquals(signer.digestV2(method: request.method, uri: uri, body: request.body), digest) {
                    matches.append(Match(version: .v2, uri: uri, secret: index))
                }
            }
            if let digest, constantTimeEquals(signer.digestV1(body: request.body), digest) {
                matches.append(Match(version: .v1, uri: nil, secret: index))
            }
        }
        return matches.sorted { $0.version.rawValue > $1.version.rawValue }
    }

    /// The URLs that HubSpot may have posted to, by what is known of them: both schemes, hosts with and without their port, paths with
    /// and without a slash at the end, queries as they came, decoded, and left out.
    ///
    /// - Parameters:
    ///   - configured: the configured public URL, whose host and path are tried too.
    ///   - hosts: what `Host` and `X-Forwarded-Host` named.
    ///   - target: path and query of the request, as they came.
    public static func uris(configured: String?, hosts: [String], target: String) -> [String] {
        var hosts = hosts
        var targets = [target]
        if let configured, let start = configured.firstRange(of: "://")?.upperBound {
            let rest = configured[start...]
            let end = rest.firstIndex { $0 == "/" || $0 == "?" } ?? rest.endIndex
            hosts.insert(String(rest[..<end]), at: 0)
            targets.append(String(rest[end...]))
        }
        var uris: [String] = []
        for scheme in ["https", "http"] {
            for host in hosts.flatMap({ forms(ofHost: $0, scheme) }) {
                for target in targets.flatMap(forms(ofTarget:)) {
                    let uri = "\(scheme)://\(host)\(target)"
                    if !uris.contains(uri) { uris.append(uri) }
                }
            }
        }
        return uris
    }

    private static func forms(ofHost host: String, _ scheme: String) -> [String] {
        var forms = [host]
        if let colon = host.lastIndex(of: ":"), !host[colon...].contains("]") {
            forms.append(String(host[..<colon]))
        } else {
            forms.append(host + (scheme == "https" ? ":443" : ":80"))
        }
        return forms
    }

    private static func forms(ofTarget target: String) -> [String] {
        let end = target.firstIndex(of: "?") ?? target.endIndex
        let path = String(target[..<end])
        let query = String(target[end...])
        let paths = [path, path.hasSuffix("/") ? String(path.dropLast()) : path + "/"]
        var forms = paths.map { $0 + query }
        let decoded = decode(path + query)
        if decoded != target { forms.append(decoded) }
        if !query.isEmpty { forms += paths }
        return forms
    }

    /// With every escape replaced.
    private static func decode(_ text: String) -> String {
        var result: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "%"), rest.count >= 2, let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16) {
                result.append(value)
                rest = rest.dropFirst(2)
            } else {
                result.append(byte)
            }
        }
        return String(decoding: result, as: UTF8.self)
    }

    /// SHA-256 in hexadecimal.
    public static func hash(_ body: [UInt8]) -> String {
        let digest = RunningDigest()
        digest.update(body)
        return Hexadecimal.encode(digest.finish())
    }
}
