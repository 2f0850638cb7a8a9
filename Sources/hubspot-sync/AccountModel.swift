import Bytes
import Curl
import FoundationEssentials
import HubSpot
import Logging
import Model
import Rules

/// What code for an account's records is made from: its properties, and the deals' pipelines. Archived ones are left out.
struct AccountModel {
    struct Property: Decodable {
        struct Option: Decodable {
            let label, value: String
        }

        let name, type: String
        let label, fieldType, description: String?
        let options: [Option]?
        let externalOptions: Bool?

        /// The values that it can have, if that is known: one of a list that the account keeps.
        var values: [String]? {
            if type == "bool" { return ["true", "false"] }
            // Of checkboxes a record has several, joined; owners and teams are listed elsewhere.
            guard type == "enumeration", externalOptions != true, fieldType != "checkbox", let options,
                (1...AccountModel.valuesMax).contains(options.count)
            else { return nil }
            var seen: Set<String> = []
            return options.map(\.value).filter { seen.insert($0).inserted }
        }

        func label(of value: String) -> String? { options?.first { $0.value == value }?.label }
    }

    struct Pipeline: Decodable {
        struct Stage: Decodable {
            let id: String
            let label: String?
        }

        let id: String
        let label: String?
        let stages: [Stage]?

        private enum CodingKeys: String, CodingKey {
            case id = "hubspotId"
            case label, stages
        }

        init(id: String, label: String?, stages: [Stage]) {
            self.id = id
            self.label = label
            self.stages = stages
        }
    }

    /// A longer list is no help to a reader and may grow any day.
    private static let valuesMax = 100

    /// By name.
    private(set) var properties: [RecordType: [Property]] = [:]
    /// In HubSpot's order of display.
    private(set) var pipelines: [Pipeline] = []

    /// From the mirror of a running service, or from HubSpot while that has none.
    init(of client: AdminClient) async throws {
        for type in RecordType.allCases {
            let answer = try await client.call("GET", "/api/admin/hubspot/properties/\(type.rawValue)", as: PropertyList.self)
            properties[type] = AccountModel.sorted(answer.properties)
        }
        pipelines = try await client.call("GET", "/api/admin/hubspot/pipelines", as: PipelineList.self).pipelines
        try check("the service", "start a sync and try again")
    }

    /// Straight from HubSpot.
    init(of settings: HubSpotSettings) async throws {
        let driver = CurlDriver()
        let hubspot = HubSpotClient(settings: settings, driver: driver, logger: Logger(label: "generate"))
        do {
            for type in RecordType.allCases {
                properties[type] = AccountModel.sorted(try await hubspot.definitions(.properties(type), as: .live).map(Property.init))
            }
            let found = try await hubspot.definitions(.pipelines(.deals), as: .live).map { (order: Pipeline.order($0), pipeline: Pipeline($0)) }
            pipelines = found.sorted { ($0.order, $0.pipeline.id) < ($1.order, $1.pipeline.id) }.map(\.pipeline)
        } catch {
            await driver.shutDown()
            throw Failure("HubSpot's definitions cannot be read: \(error.message); 'hubspot-sync doctor' says what to do.")
        }
        await driver.shutDown()
        try check("HubSpot", "check the token's scopes with 'hubspot-sync doctor'")
    }

    private func check(_ source: String, _ advice: String) throws {
        for type in RecordType.allCases where properties[type]?.isEmpty ?? true {
            throw Failure("There are no properties of \(type.rawValue) in \(source): \(advice).")
        }
    }

    private static func sorted(_ properties: [Property]) -> [Property] {
        properties.sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
    }

    private struct PropertyList: Decodable { let properties: [Property] }
    private struct PipelineList: Decodable { let pipelines: [Pipeline] }
}

extension AccountModel.Property {
    fileprivate init(_ definition: Definition) {
        let fields = BSONDocument(bytes: definition.fields)
        name = definition.id
        type = fields["type"]?.string ?? "string"
        label = fields["label"]?.string
        fieldType = fields["fieldType"]?.string
        description = fields["description"]?.string
        externalOptions = fields["externalOptions"]?.bool
        options = fields["options"]?.array?.compactMap { option in
            guard let value = option.document?["value"]?.string else { return nil }
            return Option(label: option.document?["label"]?.string ?? value, value: value)
        }
    }
}

extension AccountModel.Pipeline {
    fileprivate init(_ definition: Definition) {
        let fields = BSONDocument(bytes: definition.fields)
        self.init(
            id: definition.id, label: fields["label"]?.string,
            stages: fields["stages"]?.array?.compactMap { stage in
                stage.document?["id"]?.string.map { Stage(id: $0, label: stage.document?["label"]?.string) }
            } ?? [])
    }

    fileprivate static func order(_ definition: Definition) -> Int64 {
        BSONDocument(bytes: definition.fields)["displayOrder"]?.integer ?? 0
    }
}
