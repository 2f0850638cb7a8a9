internal import Bytes

/// Tells HubSpot's requests from everybody else's.
///
/// A request with a v3 signature stands or falls with it: a good v1 beside it does not rescue it. Versions that are not allowed are
/// not looked at, so that a service that cannot know its public URL may settle for v1 although HubSpot sends v3 too.
public struct SignatureVerifier: Sendable {
    /// How far the timestamp may be from now, before or after.
    ///
    /// HubSpot asks to refuse what is older; what comes from the future would stay valid for longer than that.
    public static let tolerance: Duration = .seconds(300)

    private let signers: [Signer]
    private let allowed: Set<SignatureVersion>

    /// - Parameters:
    ///   - secrets: the app's client secret; during a rotation the new and the old one.
    ///   - allowed: the versions that count.
    /// - Throws: `.noSecret` when there is none or one of them is empty.
    public init(secrets: [String], allowing allowed: Set<SignatureVersion> = [.v1, .v2, .v3]) throws(SignatureError) {
        guard !secrets.isEmpty else { throw SignatureError(kind: .noSecret) }
        var signers: [Signer] = []
        for secret in secrets { signers.append(try Signer(secret: secret)) }
        self.signers = signers
        self.allowed = allowed
    }

    /// - Parameter nowMs: milliseconds since 1970.
    public func verify(_ request: SignedRequest, nowMs: Int64) -> SignatureVerdict {
        if request.signatureV3 == nil && request.signature == nil { return .invalid(.missing) }
        if allowed.contains(.v3), let signature = request.signatureV3 {
            return verifyV3(request, signature: signature, nowMs: nowMs)
        }
        guard let signature = request.signature else { return .invalid(.versionNotAllowed) }
        return verifyHash(request, signature: signature)
    }

    private func verifyV3(_ request: SignedRequest, signature: String, nowMs: Int64) -> SignatureVerdict {
        guard let text = request.timestamp else { return .invalid(.missing) }
        guard let timestamp = Self.milliseconds(text), signature.utf8.count == 44,
            let tag = Base64.standard.decode(signature), tag.count == 32
        else { return .invalid(.malformed) }
        // Both are at most 16 digits from zero, so their difference fits.
        guard (timestamp - nowMs).magnitude <= UInt64(Self.tolerance / .milliseconds(1)) else { return .invalid(.expired) }

        // HubSpot's page says that twelve escapes are decoded before signing, its own libraries decode none, and no real signature
        // over an escaped query is known. Either form is accepted: to make one takes the secret all the same.
        var forms = [request.uri]
        let decoded = SignedURI.decode(request.uri)
        if decoded != request.uri { forms.append(decoded) }
        let isMatch = matchesAny(tag) { signer in
            forms.map { signer.tagV3(method: request.method, uri: $0, body: request.body, timestamp: text) }
        }
        return isMatch ? .valid(.v3) : .invalid(.mismatch)
    }

    private func verifyHash(_ request: SignedRequest, signature: String) -> SignatureVerdict {
        // Without a version it is v1, the version of webhook subscriptions, as HubSpot's Node and PHP libraries assume too.
        guard let version = SignatureVersion(rawValue: request.version ?? "v1"), version != .v3 else { return .invalid(.malformed) }
        guard allowed.contains(version) else { return .invalid(.versionNotAllowed) }
        guard let digest = Hexadecimal.decode(signature), digest.count == 32 else { return .invalid(.malformed) }
        let isMatch = matchesAny(digest) { signer in
            switch version {
            case .v2: [signer.digestV2(method: request.method, uri: request.uri, body: request.body)]
            case .v1, .v3: [signer.digestV1(body: request.body)]
            }
        }
        return isMatch ? .valid(version) : .invalid(.mismatch)
    }

    /// Tries every secret, also after a match: the time says nothing about which one it was.
    private func matchesAny(_ signature: [UInt8], candidates: (Signer) -> [[UInt8]]) -> Bool {
        var isMatch = false
        for signer in signers {
            for candidate in candidates(signer) {
                let isEqual = constantTimeEquals(candidate, signature)
                isMatch = isMatch || isEqual
            }
        }
        return isMatch
    }

    /// Decimal digits and nothing else: no sign, no space, no fraction, no more than 16 of them.
    private static func milliseconds(_ text: String) -> Int64? {
        guard (1...16).contains(text.utf8.count), text.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) })
        else { return nil }
        return Int64(text)
    }
}
