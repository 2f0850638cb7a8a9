import ArgumentParser
import Bytes
import CBaseline
import Foundation
import HubSpot
import Model
import Signature
import Store
import Web

/// One step of a hot path: what ours does, and the least that anybody would have to do.
struct Step {
    let name: String
    let target: Table.Target?
    let ours: () throws -> Void
    let raw: (() -> Void)?

    static func all() throws -> [Step] { [try signature(), page(), json(), inbox()] }

    private static let uri = "https://example.com/api/webhooks/hubspot"

    /// Verifying the v3 signature of a body of 30 KB.
    private static func signature() throws -> Step {
        let secret = "benchmark-secret"
        let body = Array(Samples.body(100).prefix(30 * 1024))
        let now: Int64 = 1_763_625_600_000
        let message = Array("POST\(uri)".utf8) + body + Array("\(now)".utf8)
        let key = Array(secret.utf8).withUnsafeBufferPointer { baseline_hmac_key($0.baseAddress, $0.count) }
        var tag = [UInt8](repeating: 0, count: 32)
        baseline_hmac(key, message, message.count, &tag)
        let request = SignedRequest(method: "POST", uri: uri, signatureV3: Data(tag).base64EncodedString(), timestamp: "\(now)", body: body)
        let verifier = try SignatureVerifier(secrets: [secret])
        return Step(name: "signature of a 30 KB body", target: .ratioAtMost(1.1)) {
            guard case .valid = verifier.verify(request, nowMs: now) else { throw Unmeasurable("a good signature is refused") }
        } raw: {
            var tag = [UInt8](repeating: 0, count: 32)
            baseline_hmac(key, message, message.count, &tag)
        }
    }

    /// A page of 100 records, from JSON to `Record`s with their BSON.
    private static func page() -> Step {
        let page = Samples.page
        let reader = RecordReader(.contacts)
        let out = UnsafeMutablePointer<UInt8>.allocate(capacity: page.count * 2)
        return Step(name: "page of 100 records, \(page.count / 1000) KB, to BSON", target: .ratioAtMost(1.3)) {
            guard try Answer(page, reader).records.count == 100 else { throw Unmeasurable("the page is not read") }
        } raw: {
            _ = baseline_page(page, page.count, out)
        }
    }

    /// 50 documents of the mirror as the API's JSON.
    private static func json() -> Step {
        let documents = Samples.documents
        let bytes = documents.reduce(0) { $0 + $1.bytes.count }
        let out = UnsafeMutablePointer<UInt8>.allocate(capacity: bytes * 6)
        return Step(name: "50 documents, \(bytes / 1000) KB, to JSON", target: nil) {
            var json = JSONWriter(capacity: 1 << 16)
            json.array { json in
                for document in documents { RecordJSON.write(document, properties: nil, to: &json) }
            }
            guard json.finish().count > bytes / 2 else { throw Unmeasurable("the documents are not written") }
        } raw: {
            for document in documents { _ = baseline_json(document.bytes, out) }
        }
    }

    /// A body of 100 events, from JSON to the document of the inbox.
    private static func inbox() -> Step {
        let body = Samples.body(100)
        let now = Timestamp(milliseconds: 1_763_625_600_000)
        return Step(
            name: "webhook body of 100 events to its inbox document", target: nil,
            ours: {
                let delivery = Delivery(id: "delivery", receivedAt: now, signature: "v3", events: try WebhookBody.events(in: body))
                guard delivery.document(owner: "owner", leaseUntil: now).count > 5_000 else {
                    throw Unmeasurable("the delivery is not written")
                }
            }, raw: nil)
    }
}

/// Times every step, ours and raw by turns.
struct Micro: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Times the steps of the hot paths.")

    @Option(help: "Where the figures go as JSON.") var json: String?

    func run() throws {
        var table = Table()
        print(Table.head)
        for step in try Step.all() {
            var ours: [Double] = [], raw: [Double] = []
            let repetitions = try max(1, Int(0.02 / Micro.time(1, step.ours)))
            for _ in 0..<15 {
                ours.append(try Micro.time(repetitions, step.ours) * 1e6)
                if let body = step.raw { raw.append(Micro.time(repetitions, body) * 1e6) }
            }
            table.add(step.name, ours, raw: raw, "µs", step.target)
        }
        if let json { try table.write(to: json) }
    }

    /// Seconds of one repetition.
    private static func time(_ repetitions: Int, _ body: () throws -> Void) rethrows -> Double {
        let begin = ContinuousClock.now
        for _ in 0..<repetitions { try body() }
        return (ContinuousClock.now - begin) / .seconds(1) / Double(repetitions)
    }
}

/// Repeats one step so many times: for counting its instructions from outside, as the difference of two counts.
struct Loop: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Repeats one step, to count its instructions.")

    @Argument(help: "Which step, from 0.") var step: Int
    @Argument(help: "How many times.") var count: Int

    func run() throws {
        let steps = try Step.all()
        guard steps.indices.contains(step) else { throw Unmeasurable("steps are 0 to \(steps.count - 1)") }
        for _ in 0..<count { try steps[step].ours() }
    }
}
