import Foundation
import Signature
import Testing

/// The vectors of `fixtures/signatures`.
struct SignatureVectors: Decodable {
    struct Vector: Decodable, Sendable, CustomTestStringConvertible {
        let name: String, version: String, secret: String, method: String, uri: String, body: String, signature: String
        let timestamp: String?
        var testDescription: String { name }
    }

    struct MustFail: Decodable {
        struct Mistake: Decodable, Sendable {
            let mistake: String, signature: String
        }
        let `case`: String
        let signatures: [Mistake]
    }

    let bodies: [String: String]
    let vectors: [Vector]
    let mustFail: MustFail

    /// A missing or broken file ends the test run: without vectors there is nothing to say.
    static let all: SignatureVectors = {
        let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        let data = try! Data(contentsOf: root.appending(path: "fixtures/signatures/vectors.json"))
        return try! JSONDecoder().decode(SignatureVectors.self, from: data)
    }()

    static func named(_ name: String) -> Vector { all.vectors.first { $0.name == name }! }
}

extension SignatureVectors.Vector {
    var bodyBytes: [UInt8] { Array(SignatureVectors.all.bodies[body]!.utf8) }
    var sentMs: Int64 { timestamp.flatMap { Int64($0) } ?? 1_700_000_000_000 }

    /// The request that carries this signature and no other.
    var request: SignedRequest {
        version == "v3"
            ? SignedRequest(method: method, uri: uri, signatureV3: signature, timestamp: timestamp, body: bodyBytes)
            : SignedRequest(method: method, uri: uri, signature: signature, version: version, body: bodyBytes)
    }
}
