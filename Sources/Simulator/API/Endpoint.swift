import Model

/// What a path means, whatever the version that it was written in.
enum Endpoint: Sendable {
    case list(RecordType), record(RecordType, String), batch(RecordType, BatchKind), search(RecordType), merge(RecordType)
    case gdprDelete(RecordType)
    case properties(RecordType), property(RecordType, String)
    case pipelines(String), pipeline(String, String), pipelineStages(String, String)
    case owners, owner(String)
    case associations(RecordType, RecordType, BatchKind), associationLabels(RecordType, RecordType)
    case recordAssociations(RecordType, String, RecordType)
    case pair(RecordType, String, RecordType, String, isDefault: Bool)
    case accountDetails, apiUsage, recordLimits, propertyLimits

    enum BatchKind: String, Sendable {
        case read, create, update, upsert, archive
        case associateDefault = "associate/default"
    }

    /// nil: no such path, or a version that it does not exist in.
    init?(_ segments: [String]) {
        guard let first = segments.first else { return nil }
        switch first {
        case "account-info":
            guard segments.count >= 3, Endpoint.isDated(segments[1]) || segments[1] == "v3" else { return nil }
            switch segments.dropFirst(2).joined(separator: "/") {
            case "details": self = .accountDetails
            case "api-usage/daily/private-apps": self = .apiUsage
            default: return nil
            }
        case "crm":
            guard segments.count >= 3 else { return nil }
            let area: String
            let isVersion4: Bool
            if segments[1] == "v3" || segments[1] == "v4" {
                area = segments[2]
                isVersion4 = segments[1] == "v4"
                let isOnlyInVersion4 =
                    area == "associations" || (area == "objects" && segments.count >= 6 && segments[5] == "associations")
                guard isVersion4 == isOnlyInVersion4 else { return nil }
            } else {
                guard Endpoint.isDated(segments[2]) else { return nil }
                area = segments[1]
            }
            self.init(area, Array(segments.dropFirst(3)))
        default: return nil
        }
    }

    private static func isDated(_ version: String) -> Bool { ["2026-09", "2026-03", "2025-09"].contains(version) }

    private init?(_ area: String, _ rest: [String]) {
        switch (area, rest.count) {
        case ("objects", 5...), ("objects", 4):
            guard let from = RecordType(pathName: rest[0], allowsSingular: true), rest[2] == "associations" else { return nil }
            if rest.count == 6, rest[3] == "default", let to = RecordType(pathName: rest[4], allowsSingular: true) {
                self = .pair(from, rest[1], to, rest[5], isDefault: true)
            } else if let to = RecordType(pathName: rest[3], allowsSingular: true), rest.count <= 5 {
                self =
                    rest.count == 4 ? .recordAssociations(from, rest[1], to) : .pair(from, rest[1], to, rest[4], isDefault: false)
            } else {
                return nil
            }
        case ("objects", 1...3):
            guard let type = RecordType(pathName: rest[0]) else { return nil }
            switch (rest.count, rest.last) {
            case (1, _): self = .list(type)
            case (2, "search"): self = .search(type)
            case (2, "merge"): self = .merge(type)
            case (2, "gdpr-delete"): self = .gdprDelete(type)
            case (2, let id?): self = .record(type, id)
            case (3, let verb?):
                guard rest[1] == "batch", let kind = BatchKind(rawValue: verb) else { return nil }
                self = .batch(type, kind)
            default: return nil
            }
        case ("properties", 1...2):
            guard let type = RecordType(pathName: rest[0]) else { return nil }
            self = rest.count == 1 ? .properties(type) : .property(type, rest[1])
        case ("pipelines", 1...3):
            guard rest.count < 3 || rest[2] == "stages" else { return nil }
            self =
                rest.count == 1
                ? .pipelines(rest[0]) : rest.count == 2 ? .pipeline(rest[0], rest[1]) : .pipelineStages(rest[0], rest[1])
        case ("owners", 0...1): self = rest.isEmpty ? .owners : .owner(rest[0])
        case ("associations", 3...5):
            guard let from = RecordType(pathName: rest[0], allowsSingular: true),
                let to = RecordType(pathName: rest[1], allowsSingular: true)
            else { return nil }
            if rest.count == 3, rest[2] == "labels" {
                self = .associationLabels(from, to)
            } else if rest[2] == "batch", let kind = BatchKind(rawValue: rest.dropFirst(3).joined(separator: "/")),
                kind != .update, kind != .upsert
            {
                self = .associations(from, to, kind)
            } else {
                return nil
            }
        case ("limits", 1) where rest[0] == "records": self = .recordLimits
        case ("limits", 1) where rest[0] == "custom-properties": self = .propertyLimits
        default: return nil
        }
    }

    /// How the call log names it.
    var label: String {
        switch self {
        case .list(let type): "objects/\(type)"
        case .record(let type, _): "objects/\(type)/{id}"
        case .batch(let type, let kind): "objects/\(type)/batch/\(kind.rawValue)"
        case .search(let type): "objects/\(type)/search"
        case .merge(let type): "objects/\(type)/merge"
        case .gdprDelete(let type): "objects/\(type)/gdpr-delete"
        case .properties(let type), .property(let type, _): "properties/\(type)"
        case .pipelines, .pipeline, .pipelineStages: "pipelines"
        case .owners, .owner: "owners"
        case .associations(let from, let to, let kind): "associations/\(from)/\(to)/batch/\(kind.rawValue)"
        case .associationLabels(let from, let to): "associations/\(from)/\(to)/labels"
        case .recordAssociations(let from, _, let to), .pair(let from, _, let to, _, _): "objects/\(from)/{id}/associations/\(to)"
        case .accountDetails: "account-info/details"
        case .apiUsage: "account-info/api-usage"
        case .recordLimits: "limits/records"
        case .propertyLimits: "limits/custom-properties"
        }
    }

    var isSearch: Bool {
        if case .search = self { true } else { false }
    }

    var isAboutAssociations: Bool {
        switch self {
        case .associations, .associationLabels, .recordAssociations, .pair: true
        default: false
        }
    }

    /// Lists of scopes; one of each list is required.
    ///
    /// - Source: platform page, section 8.3.
    func scopes(method: String) -> [[String]] {
        func read(_ type: RecordType) -> String { "crm.objects.\(type).read" }
        func object(_ type: RecordType, writes: Bool) -> [[String]] { [[writes ? "crm.objects.\(type).write" : read(type)]] }
        switch self {
        case .list(let type): return object(type, writes: method == "POST")
        case .record(let type, _): return object(type, writes: method != "GET")
        case .batch(let type, let kind): return object(type, writes: kind != .read)
        case .search(let type): return object(type, writes: false)
        case .merge(let type), .gdprDelete(let type): return object(type, writes: true)
        case .properties(let type), .property(let type, _):
            return method == "GET" ? [["crm.schemas.\(type).read", read(type)]] : [["crm.schemas.\(type).write"]]
        case .pipelines, .pipeline, .pipelineStages: return [["crm.objects.deals.read", "crm.schemas.deals.read"]]
        case .owners, .owner: return [["crm.objects.owners.read"]]
        case .associations(let from, let to, _), .associationLabels(let from, let to), .recordAssociations(let from, _, let to),
            .pair(let from, _, let to, _, _):
            return [[read(from)], [read(to)]]
        case .accountDetails, .apiUsage: return [["oauth"]]
        case .recordLimits, .propertyLimits: return [RecordType.allCases.map(read)]
        }
    }
}
