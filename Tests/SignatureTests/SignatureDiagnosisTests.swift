import Foundation
import Signature
import Testing

/// What would have made a refused signature right is found, and nothing else is.
@Suite struct SignatureDiagnosisTests {
    static let target = "/api/webhooks/hubspot?a=%20b"
    static let body = Array("[{}]".utf8)
    static let uris = SignatureDiagnosis.uris(
        configured: "https://old.example/hooks", hosts: ["10.0.0.1:3002", "hooks.example.com"], target: target)

    @Test(arguments: [
        "https://hooks.example.com/api/webhooks/hubspot?a=%20b", "http://hooks.example.com/api/webhooks/hubspot?a=%20b",
        "https://hooks.example.com:443/api/webhooks/hubspot?a=%20b", "https://10.0.0.1/api/webhooks/hubspot?a=%20b",
        "http://10.0.0.1:3002/api/webhooks/hubspot/?a=%20b", "https://hooks.example.com/api/webhooks/hubspot",
        "https://hooks.example.com/api/webhooks/hubspot?a= b", "https://old.example/hooks", "https://hooks.example.com/hooks",
    ]) func everyLikelyURLIsTried(url: String) throws {
        let signer = try Signer(secret: "second")
        let diagnosis = try SignatureDiagnosis(secrets: ["first", "second"])
        var request = SignedRequest(method: "POST", uri: "http://seen/", body: Self.body)
        request.signature = signer.v2(method: "POST", uri: url, body: Self.body)
        request.version = "v2"
        #expect(diagnosis.matches(of: request, uris: Self.uris).map { "\($0.version) \($0.uri ?? "") \($0.secret)" } == ["v2 \(url) 1"])
        request.signature = nil
        request.timestamp = "1769081993375"
        request.signatureV3 = signer.v3(method: "POST", uri: url, body: Self.body, timestampMs: 1_769_081_993_375)
        #expect(diagnosis.matches(of: request, uris: Self.uris).contains { $0.version == .v3 && $0.uri == url && $0.secret == 1 })
        request.body.append(0)
        #expect(diagnosis.matches(of: request, uris: Self.uris).isEmpty)
    }

    @Test func v1MatchesWithoutAURLWhateverItsHeaderSays() throws {
        let diagnosis = try SignatureDiagnosis(secrets: ["first"])
        var request = SignedRequest(method: "POST", uri: "http://seen/", body: Self.body)
        request.signature = try Signer(secret: "first").v1(body: Self.body)
        request.version = "v2"
        let matches = diagnosis.matches(of: request, uris: [])
        #expect(matches.map(\.version) == [.v1] && matches.first?.uri == nil)
        #expect(try SignatureDiagnosis(secrets: ["another"]).matches(of: request, uris: Self.uris).isEmpty)
    }
}
