import Foundation
import Signature
import Testing

@Suite struct SignatureVerifierTests {
    typealias Vector = SignatureVectors.Vector

    let good = SignatureVectors.named("v3-hooks")
    let goodV1 = SignatureVectors.named("v1-sdk-node-php-docs")  // of the same body

    func verify(
        _ request: SignedRequest, secrets: [String]? = nil, allowing allowed: Set<SignatureVersion> = [.v1, .v2, .v3],
        afterMs: Int64 = 0
    ) throws -> SignatureVerdict {
        try SignatureVerifier(secrets: secrets ?? [good.secret], allowing: allowed).verify(request, nowMs: good.sentMs + afterMs)
    }

    // MARK: Published values

    @Test(arguments: SignatureVectors.all.vectors) func everyPublishedVectorIsValid(vector: Vector) throws {
        let verifier = try SignatureVerifier(secrets: [vector.secret])
        #expect(
            try verifier.verify(vector.request, nowMs: vector.sentMs)
                == .valid(#require(SignatureVersion(rawValue: vector.version))))
    }

    @Test(arguments: SignatureVectors.all.vectors.filter { !$0.name.hasSuffix("undecoded") })
    func theSignerMakesEveryPublishedVector(vector: Vector) throws {
        let signer = try Signer(secret: vector.secret)
        let made =
            switch vector.version {
            case "v1": signer.v1(body: vector.bodyBytes)
            case "v2": signer.v2(method: vector.method, uri: vector.uri, body: vector.bodyBytes)
            default: signer.v3(method: vector.method, uri: vector.uri, body: vector.bodyBytes, timestampMs: vector.sentMs)
            }
        #expect(made == vector.signature)
    }

    @Test(arguments: SignatureVectors.all.mustFail.signatures)
    func noKnownMistakeOfSendersIsAccepted(mistake: SignatureVectors.MustFail.Mistake) throws {
        var request = SignatureVectors.named(SignatureVectors.all.mustFail.case).request
        request.signatureV3 = mistake.signature
        let reason: SignatureVerdict.Reason = mistake.signature.utf8.count == 44 ? .mismatch : .malformed
        #expect(try verify(request) == .invalid(reason))
    }

    // MARK: Escapes in the URL

    @Test(arguments: ["v3-query", "v3-table"]) func theDocumentedEscapesMayBeDecodedBeforeSigning(name: String) throws {
        let escaped = SignatureVectors.named(name + "-undecoded"), decoded = SignatureVectors.named(name + "-decoded")
        var request = escaped.request
        request.signatureV3 = decoded.signature
        #expect(try verify(request) == .valid(.v3))
        let signer = try Signer(secret: escaped.secret)
        #expect(
            signer.v3(method: "POST", uri: escaped.uri, body: escaped.bodyBytes, timestampMs: escaped.sentMs) == decoded.signature)
    }

    @Test(arguments: ["?a=%3a", "?a=%26", "?a=%253A", "?a=%3", "?a=%", "?a=%C3%A9", "?a=%zz"])
    func noOtherEscapeIsDecoded(query: String) throws {
        let signer = try Signer(secret: good.secret)
        let uri = good.uri + query
        let mac = try MessageAuthenticator(key: Array(good.secret.utf8))
        let expected = Data(mac.tag(for: Array("POST\(uri)[]1700000000000".utf8))).base64EncodedString()
        #expect(signer.v3(method: "POST", uri: uri, body: Array("[]".utf8), timestampMs: 1_700_000_000_000) == expected)
    }

    @Test func v2TakesTheURLAsItStands() throws {
        let uri = "https://www.example.com/webhook_uri?a=%3A"
        let signature = try Signer(secret: good.secret).v2(method: "GET", uri: "https://www.example.com/webhook_uri?a=:", body: [])
        #expect(
            try verify(SignedRequest(method: "GET", uri: uri, signature: signature, version: "v2", body: [])) == .invalid(.mismatch)
        )
    }

    // MARK: Time

    @Test(
        arguments: [
            (0, true), (300_000, true), (-300_000, true), (300_001, false), (-300_001, false), (86_400_000, false),
        ] as [(Int64, Bool)])
    func aV3SignatureLivesFiveMinutesEitherWay(afterMs: Int64, isValid: Bool) throws {
        #expect(try verify(good.request, afterMs: afterMs) == (isValid ? .valid(.v3) : .invalid(.expired)))
    }

    @Test func aTimestampInSecondsIsExpiredHoweverWellSigned() throws {
        var request = good.request
        request.timestamp = "1700000000"
        request.signatureV3 = try Signer(secret: good.secret)
            .v3(method: "POST", uri: good.uri, body: good.bodyBytes, timestampMs: 1_700_000_000)
        #expect(try verify(request) == .invalid(.expired))
    }

    @Test func v1NeverExpires() throws {
        #expect(try verify(goodV1.request, afterMs: 86_400_000 * 365) == .valid(.v1))
    }

    // MARK: Versions

    /// What HubSpot's webhook subscriptions really send.
    var both: SignedRequest {
        var request = good.request
        request.signature = goodV1.signature
        request.version = "v1"
        return request
    }

    @Test func v3DecidesWhereBothArePresent() throws {
        #expect(try verify(both) == .valid(.v3))
        var request = both
        request.signature = String(goodV1.signature.reversed())
        #expect(try verify(request) == .valid(.v3))
    }

    @Test func aBadV3IsNotRescuedByAGoodV1() throws {
        var request = both
        request.signatureV3 = SignatureVectors.all.mustFail.signatures[0].signature
        #expect(try verify(request) == .invalid(.mismatch))
        request.signatureV3 = ""
        #expect(try verify(request) == .invalid(.malformed))
        #expect(try verify(both, afterMs: 300_001) == .invalid(.expired))
        request = both
        request.timestamp = nil
        #expect(try verify(request) == .invalid(.missing))
    }

    @Test func onlyAllowedVersionsCount() throws {
        #expect(try verify(both, allowing: [.v1]) == .valid(.v1))
        #expect(try verify(good.request, allowing: [.v1, .v2]) == .invalid(.versionNotAllowed))
        #expect(try verify(goodV1.request, allowing: [.v3]) == .invalid(.versionNotAllowed))
        #expect(try verify(goodV1.request, allowing: [.v2, .v3]) == .invalid(.versionNotAllowed))
        #expect(try verify(both, allowing: []) == .invalid(.versionNotAllowed))
    }

    @Test func withoutAVersionItIsV1() throws {
        var request = goodV1.request
        request.version = nil
        #expect(try verify(request) == .valid(.v1))
        let v2 = SignatureVectors.named("v2-hooks")
        request.signature = v2.signature
        #expect(try verify(request) == .invalid(.mismatch))
    }

    @Test func noSignatureIsMissing() throws {
        #expect(
            try verify(SignedRequest(method: "POST", uri: good.uri, timestamp: "1700000000000", body: [])) == .invalid(.missing))
    }

    // MARK: Malformed headers

    @Test(arguments: [
        "", " ", "1700000000000 ", " 1700000000000", "+1700000000000", "-1700000000000", "1700000000000.0", "1.7e12",
        "0x18bcfe56800", "17000000000000000", "99999999999999999999999999", "１７０００００００００００", "1700000000000\n", "NaN", "1700000000000\0",
    ])
    func aTimestampIsDecimalDigitsOnly(timestamp: String) throws {
        var request = good.request
        request.timestamp = timestamp
        #expect(try verify(request) == .invalid(.malformed))
    }

    @Test func aV3SignatureIsExactBase64() throws {
        let text = good.signature  // ends in "U=", so "V=" carries stray bits
        let broken = [
            "", "=", String(text.dropLast()), text + "=", text + "\n", " " + text, text.replacing("=", with: "A"),
            String(text.dropLast(2)) + "V=", String(text.dropLast(2)) + "==",
            String(text.dropLast(3)) + "-U=", String(repeating: "A", count: 44), String(repeating: "é", count: 22),
            String(repeating: "=", count: 44),
        ]
        for signature in broken {
            var request = good.request
            request.signatureV3 = signature
            #expect(try verify(request) == .invalid(.malformed), "\(signature)")
        }
    }

    @Test func aV1SignatureIsSixtyFourLowerCaseDigits() throws {
        let text = goodV1.signature
        for signature in [
            "", String(text.dropLast()), String(text.dropLast(2)), text + "0", text + "00", text.uppercased(), " " + text,
            "0x" + text,
            String(text.dropLast()) + "g", String(text.dropLast(2)) + "é", Data(text.utf8).base64EncodedString(),
        ] {
            var request = goodV1.request
            request.signature = signature
            #expect(try verify(request) == .invalid(.malformed), "\(signature)")
        }
    }

    @Test(arguments: ["", "V1", "v1 ", "v3", "v4", "1", "v1,v2"]) func anUnknownVersionIsMalformed(version: String) throws {
        var request = goodV1.request
        request.version = version
        #expect(try verify(request) == .invalid(.malformed))
    }

    // MARK: Secrets

    @Test(arguments: [["yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyy", "new"], ["new", "yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyy"]])
    func anySecretOfARotationCounts(secrets: [String]) throws {
        #expect(try verify(good.request, secrets: secrets) == .valid(.v3))
        #expect(try verify(goodV1.request, secrets: secrets) == .valid(.v1))
    }

    @Test func noOtherSecretCounts() throws {
        for secrets in [["new"], ["new", "newer"], [good.secret + " "], [String(good.secret.dropLast())]] {
            #expect(try verify(good.request, secrets: secrets) == .invalid(.mismatch))
            #expect(try verify(goodV1.request, secrets: secrets) == .invalid(.mismatch))
        }
    }

    @Test(arguments: [[], [""], ["secret", ""]] as [[String]]) func anEmptySecretIsRefused(secrets: [String]) {
        let error = #expect(throws: SignatureError.self) { try SignatureVerifier(secrets: secrets) }
        #expect(error?.kind == .noSecret)
    }

    // MARK: Tampering

    /// Every single byte of everything that v3 signs matters, and every byte of the signature.
    @Test(arguments: [UInt8(0x01), 0x20, 0x80, 0xFF]) func noByteCanBeChanged(flip: UInt8) throws {
        let verifier = try SignatureVerifier(secrets: [good.secret])
        let parts: [(WritableKeyPath<SignedRequest, String?>?, WritableKeyPath<SignedRequest, String>?)] = [
            (\.signatureV3, nil), (\.timestamp, nil), (nil, \.method), (nil, \.uri),
        ]
        for (optional, plain) in parts {
            let text = optional.flatMap { good.request[keyPath: $0] } ?? plain.map { good.request[keyPath: $0] } ?? ""
            for index in text.utf8.indices {
                var bytes = Array(text.utf8)
                bytes[text.utf8.distance(from: text.startIndex, to: index)] ^= flip
                var request = good.request
                if let optional { request[keyPath: optional] = String(decoding: bytes, as: UTF8.self) }
                if let plain { request[keyPath: plain] = String(decoding: bytes, as: UTF8.self) }
                guard case .invalid = verifier.verify(request, nowMs: good.sentMs) else {
                    Issue.record("byte \(bytes) accepted")
                    return
                }
            }
        }
        for index in good.bodyBytes.indices {
            var request = both
            request.body[index] ^= flip
            #expect(verifier.verify(request, nowMs: good.sentMs) == .invalid(.mismatch))
            request.signatureV3 = nil
            #expect(verifier.verify(request, nowMs: good.sentMs) == .invalid(.mismatch))
        }
    }

    @Test func noBodyCanBeCutOrExtended() throws {
        let verifier = try SignatureVerifier(secrets: [good.secret])
        for count in 0..<good.bodyBytes.count {
            var request = both
            request.body.removeLast(request.body.count - count)
            #expect(verifier.verify(request, nowMs: good.sentMs) == .invalid(.mismatch))
        }
        var request = both
        request.body.append(0x0A)
        #expect(verifier.verify(request, nowMs: good.sentMs) == .invalid(.mismatch))
    }

    @Test func nothingRandomIsAccepted() throws {
        let verifier = try SignatureVerifier(secrets: [good.secret])
        for count in 0..<2_000 {
            let bytes = SecureRandom.bytes(32)
            var request = SignedRequest(method: "POST", uri: good.uri, body: SecureRandom.bytes(count % 97))
            request.signatureV3 = count % 2 == 0 ? Data(bytes).base64EncodedString() : nil
            request.signature = bytes.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
            request.version = count % 3 == 0 ? "v2" : "v1"
            request.timestamp = "1700000000000"
            #expect(verifier.verify(request, nowMs: good.sentMs) == .invalid(.mismatch))
        }
    }

    // MARK: Sending

    @Test func aSignedDeliveryIsAccepted() throws {
        let uri = "https://hooks.example.com/a%2Fb?tenant=a%3Ab&sp=%20"
        let body = Array("[{\"objectId\":1}]".utf8)
        let headers = try Signer(secret: "s").headers(method: "POST", uri: uri, body: body, timestampMs: good.sentMs)
        let request = SignedRequest(method: "POST", uri: uri, body: body) { name in headers.first { $0.name == name }?.value }
        #expect(try verify(request, secrets: ["s"]) == .valid(.v3))
        #expect(try verify(request, secrets: ["s"], allowing: [.v1]) == .valid(.v1))
    }

    @Test func oneVerifierServesManyTasksAtOnce() async throws {
        let verifier = try SignatureVerifier(secrets: ["other", good.secret])
        let good = good
        await withTaskGroup(of: Bool.self) { group in
            for _ in 0..<8 {
                group.addTask { (0..<500).allSatisfy { _ in verifier.verify(good.request, nowMs: good.sentMs) == .valid(.v3) } }
            }
            for await isValid in group { #expect(isValid) }
        }
    }
}
