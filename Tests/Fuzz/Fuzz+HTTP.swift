import Bytes
import Foundation
import HummingbirdCore
import Model
@testable import Signature

/// What strangers send in a request's head: target, query, signature, dates, addresses.
extension Fuzz {
    private static let secret = "fuzz-secret-" + UUID().uuidString
    private static let signer = { try! Signer(secret: secret) }()
    private static let verifier = { try! SignatureVerifier(secrets: ["another", secret]) }()
    private static let nowMs: Int64 = 1_800_000_000_000

    /// Method, URI, v1/v2 signature, version, v3 signature, timestamp, then the body. Nobody knows the secret.
    @Sendable static func signature(_ input: [UInt8]) {
        let parts = parts(input, 7), texts = parts.map { String(decoding: $0, as: UTF8.self) }
        func optional(_ index: Int) -> String? { texts[index].isEmpty ? nil : texts[index] }
        var request = SignedRequest(
            method: texts[0], uri: texts[1], signature: optional(2), version: optional(3), signatureV3: optional(4), timestamp: optional(5), body: parts[6])
        if case .valid = verifier.verify(request, nowMs: nowMs) { fail("a signature without the secret") }
        let decoded = SignedURI.decode(texts[1])
        check(Array(decoded.utf8) == slowlyDecoded(Array(texts[1].utf8)), "a URI is decoded otherwise")
        // What the owner of the secret signs is valid, and not once a bit differs.
        request.signature = signer.v1(body: request.body)
        request.version = "v1"
        request.signatureV3 = signer.v3(method: request.method, uri: request.uri, body: request.body, timestampMs: nowMs)
        request.timestamp = String(nowMs)
        check(verifier.verify(request, nowMs: nowMs + 300_000) == .valid(.v3), "an own signature is refused")
        check(verifier.verify(request, nowMs: nowMs + 300_001) == .invalid(.expired), "an old signature is accepted")
        request.body.append(0)
        check(verifier.verify(request, nowMs: nowMs) == .invalid(.mismatch), "another body is accepted")
        request.body.removeLast()
        request.signatureV3 = nil
        check(verifier.verify(request, nowMs: nowMs) == .valid(.v1), "an own v1 is refused")
        request.version = "v2"
        request.signature = signer.v2(method: request.method, uri: request.uri, body: request.body)
        check(verifier.verify(request, nowMs: nowMs) == .valid(.v2), "an own v2 is refused")
    }

    /// By search and replacement, with what was decoded out of the way of what is still to come.
    private static func slowlyDecoded(_ bytes: [UInt8]) -> [UInt8] {
        let table = ["%3A": ":", "%2F": "/", "%3F": "?", "%40": "@", "%21": "!", "%24": "$", "%27": "'", "%28": "(", "%29": ")", "%2A": "*", "%2C": ",", "%3B": ";"]
        var rest = bytes[...], result: [UInt8] = []
        while let first = rest.first {
            if let character = table[String(decoding: rest.prefix(3), as: UTF8.self)] {
                result += Array(character.utf8)
                rest = rest.dropFirst(3)
            } else {
                result.append(first)
                rest = rest.dropFirst()
            }
        }
        return result
    }

    /// A query string, and the parameters that the API looks for.
    @Sendable static func query(_ input: [UInt8]) {
        let text = String(decoding: input, as: UTF8.self)
        for name in ["limit", "q", "a"] {
            let ours = text.formField(name)
            // Only where nothing but plain characters, pluses and good escapes are there is it clear what is meant.
            guard let expected = slowField(name, text) else { continue }
            check(ours == expected.value, "\(name) is \(ours ?? "nil"), not \(expected.value ?? "nil")")
        }
        _ = URI(text).queryParameters
        _ = URI(text).path
    }

    /// nil where the text is not what a browser sends.
    private static func slowField(_ name: String, _ query: String) -> (value: String?, Void)? {
        guard query.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "#") && $0 != UInt8(ascii: "?") }) else { return nil }
        for pair in query.split(separator: "&") {
            let halves = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard halves.count == 2, let key = unescaped(halves[0]), let value = unescaped(halves[1]) else { return nil }
            // Names are compared as they stand: no parameter of the API has one that a browser escapes.
            guard !key.isEmpty, key == halves[0] else { return nil }
            if key == name { return (value, ()) }
        }
        return (nil, ())
    }

    private static func unescaped(_ text: Substring) -> String? { text.replacing("+", with: " ").removingPercentEncoding }

    /// Dates, timestamps and addresses, as headers hold them.
    @Sendable static func headers(_ input: [UInt8]) {
        let text = String(decoding: input, as: UTF8.self)
        if let instant = Timestamp(httpDate: text) {
            check(Timestamp(httpDate: instant.httpDate) == instant, "a date does not come back")
        }
        if let instant = Timestamp(property: input.span), (-62_135_596_800_000...253_402_300_799_999).contains(instant.milliseconds) {
            check(Timestamp(iso8601: instant.iso8601) == instant, "an instant does not come back")
        }
        let origin = LoginThrottle.origin(of: text)
        check(!text.contains(":") || text.contains(".") || origin.utf8.count <= text.utf8.count + 12, "an origin is longer than its address")
        for alphabet in [Base64.standard, Base64.url] {
            if let bytes = alphabet.decode(String(decoding: input, as: UTF8.self)) { check(Array(alphabet.encode(bytes).utf8) == input, "a second text for the same bytes") }
            check(alphabet.decode(alphabet.encode(input)) == input, "bytes do not come back")
        }
        if let bytes = Hexadecimal.decode(text) { check(Hexadecimal.encode(bytes) == text, "a second text for the same bytes") }
        if text.utf8.count <= 19 { check(Int64(decimal: input) == slowInteger(text), "a number") }
    }

    private static func slowInteger(_ text: String) -> Int64? {
        text.utf8.contains { !(48...57).contains($0) && $0 != UInt8(ascii: "-") } ? nil : Int64(text)
    }

    /// The sort, then the cursor as it came back from a client.
    @Sendable static func cursor(_ input: [UInt8]) {
        let parts = parts(input, 2), sort = String(decoding: parts[0], as: UTF8.self), text = String(decoding: parts[1], as: UTF8.self)
        if let cursor = try? MirrorCursor(text, for: sort) {
            check(cursor.encoded(for: sort) == text, "a second text for the same cursor")
            switch cursor.value {
            case .timestamp, .regex, .binary, .document, .array: fail("a cursor holds an operator")
            default: break
            }
        }
        // What this service makes it understands, whatever a record holds.
        for value in [BSONValue.string(text), .string(sort), .null, .double(Double(input.count)), .date(Int64(input.count))] {
            let made = MirrorCursor(id: text, value: value)
            guard let back = try? MirrorCursor(made.encoded(for: sort), for: sort) else { fail("an own cursor is refused") }
            check(back.id.utf8.elementsEqual(text.utf8), "an own cursor is another")
        }
    }
}
