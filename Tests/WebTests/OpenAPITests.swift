import Curl
import Foundation
import Model
import TestSupport
import Testing

@testable import Web

@Suite(.scratchDatabase, .timeLimit(.minutes(1))) struct OpenAPITests {
    @Test func itNeedsNoLoginAndEveryReferenceLeadsSomewhere() async throws {
        try await Site.use { site in
            let reply = try await site.sendOpenly("GET", "/openapi.json")
            #expect(reply.status == 200 && reply.headers["Content-Type"] == "application/json; charset=utf-8")
            let description = site.description
            #expect(description.root["openapi"] as? String == "3.1.0")
            #expect(description.references.count > 15)
            for reference in description.references { #expect(description.resolve(reference) != nil, "\(reference)") }
            // None is there for nobody.
            let schemas = description.resolve("#/components/schemas") ?? [:]
            for name in schemas.keys { #expect(description.references.contains("#/components/schemas/\(name)"), "\(name)") }
        }
    }

    @Test func itNamesWhatIsAnsweredAndNothingElse() async throws {
        try await Site.use { site in
            let answered = Set(site.routes.filter { !$0.hasPrefix("HEAD ") }.map { $0.replacing(/:(\w+)/) { "{\($0.output.1)}" } })
            #expect(site.description.operations == answered)
        }
    }

    @Test func operationsAreWhole() async throws {
        try await Site.use { site in
            var ids: Set<String> = []
            for (path, methods) in site.description.paths {
                for (method, operation) in methods {
                    let id = try #require(operation["operationId"] as? String)
                    #expect(ids.insert(id).inserted, "\(id) comes twice")
                    let parameters = operation["parameters"] as? [[String: Any]] ?? []
                    let inPath = Set(parameters.filter { $0["in"] as? String == "path" }.compactMap { $0["name"] as? String })
                    #expect(inPath == Set(path.matches(of: /\{(\w+)\}/).map { String($0.output.1) }), "\(method) \(path)")
                    #expect((operation["summary"] as? String)?.isEmpty == false && (operation["responses"] as? [String: Any])?["default"] != nil)
                    // Without a login is only what the contract opens.
                    let isClosed = path.hasPrefix("/api/admin/hubspot/") || path == "/admin/events"
                    #expect((operation["security"] == nil) == isClosed, "\(method) \(path)")
                }
            }
        }
    }

    @Test(arguments: RecordType.allCases) func recordsHaveEveryTypedField(type: RecordType) async throws {
        try await Site.use { site in
            let name = type.singular.prefix(1).uppercased() + type.singular.dropFirst()
            let schema = try #require(site.description.resolve("#/components/schemas/\(name)"))
            let properties = try #require(schema["properties"] as? [String: Any])
            for field in type.typedFields { #expect(properties[field.name] != nil, "\(field.name)") }
        }
    }
}
