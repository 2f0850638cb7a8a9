import Foundation

/// The bodies in `fixtures/webhooks`, by file name without its ending.
enum WebhookFixtures {
    private static let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../fixtures/webhooks")

    static let all: [String: [UInt8]] = {
        let files = (try? FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)) ?? []
        var bodies: [String: [UInt8]] = [:]
        for file in files where file.pathExtension == "json" {
            bodies[file.deletingPathExtension().lastPathComponent] = (try? Data(contentsOf: file)).map(Array.init)
        }
        precondition(!bodies.isEmpty, "fixtures/webhooks is beside Tests")
        return bodies
    }()

    static let names = all.keys.sorted()
}
