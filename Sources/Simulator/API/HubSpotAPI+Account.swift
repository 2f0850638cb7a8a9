import Bytes
import Model
import NIOConcurrencyHelpers

/// Definitions, pipelines, owners and the account itself.
extension HubSpotAPI {
    // MARK: Properties

    func properties(_ type: RecordType, _ call: Call) throws(APIError) -> Answer {
        // No definition is archived or sensitive here.
        let isEmpty = try flag("archived", call) || (call.query("dataSensitivity").last ?? "non_sensitive") != "non_sensitive"
        let definitions = isEmpty ? [] : world.state.withLockedValue { $0.shelves[type]!.catalog.all }
        return .object { json in
            json.key("results")
            json.array { json in for definition in definitions { json.definition(definition) } }
        }
    }

    func property(_ type: RecordType, _ name: String) throws(APIError) -> Answer {
        guard let definition = world.state.withLockedValue({ $0.shelves[type]!.catalog[name] }) else {
            throw APIError(status: 404, message: "Property \(name) does not exist", category: "OBJECT_NOT_FOUND")
        }
        var json = JSONWriter()
        json.definition(definition)
        return Answer(200, json: json.finish())
    }

    func createProperty(_ type: RecordType, _ call: Call) throws(APIError) -> Answer {
        let body = try body(call)
        guard let name = body["name"]?.text, !name.isEmpty, let kind = body["type"]?.text, let field = body["fieldType"]?.text
        else {
            throw .validation("name, type and fieldType are required")
        }
        guard world.defineProperty(type, name: name, label: body["label"]?.text, kind: kind, fieldType: field) else {
            throw APIError(status: 409, message: "A property named '\(name)' already exists.", category: "OBJECT_ALREADY_EXISTS")
        }
        var answer = try property(type, name)
        answer.status = 201
        return answer
    }

    // MARK: Pipelines

    func pipelines(_ type: String) throws(APIError) -> Answer {
        let pipelines = try pipelines(of: type)
        return .object { json in
            json.key("results")
            json.array { json in for (order, pipeline) in pipelines.enumerated() { json.pipeline(pipeline, order: order) } }
        }
    }

    func pipeline(_ type: String, _ id: String, stagesOnly: Bool) throws(APIError) -> Answer {
        let all = try pipelines(of: type)
        guard let order = all.firstIndex(where: { $0.id == id }) else { throw .noSuchRecord(id) }
        if stagesOnly {
            return .object { json in
                json.key("results")
                json.stages(all[order])
            }
        }
        var json = JSONWriter()
        json.pipeline(all[order], order: order)
        return Answer(200, json: json.finish())
    }

    /// Only deals have pipelines here.
    private func pipelines(of name: String) throws(APIError) -> [Pipeline] {
        guard let type = RecordType(pathName: name) else { throw .noSuchPath }
        return type == .deals ? world.state.withLockedValue { $0.pipelines } : []
    }

    // MARK: Owners

    func owners(_ call: Call) throws(APIError) -> Answer {
        let limit = try number("limit", call, default: 100, in: 1...500)
        let after = try number("after", call, default: 0, in: 0...Int.max)
        let archived = try flag("archived", call)
        let email = call.query("email").last
        let all = world.state.withLockedValue { $0.owners }.filter { $0.isArchived == archived && $0.id >= after && (email == nil || $0.email == email) }
        return .object { json in
            json.key("results")
            json.array { json in for owner in all.prefix(limit) { json.owner(owner) } }
            if let next = all.dropFirst(limit).first {
                json.key("paging")
                json.raw(nextPage(String(next.id), call))
            }
        }
    }

    func owner(_ id: String) throws(APIError) -> Answer {
        guard let owner = world.state.withLockedValue({ $0.owners }).first(where: { String($0.id) == id }) else { throw .noSuchRecord(id) }
        var json = JSONWriter()
        json.owner(owner)
        return Answer(200, json: json.finish())
    }

    // MARK: Account

    func accountDetails() -> Answer {
        .object { json in
            json.member("portalId", settings.portalId)
            json.member("accountType", "DEVELOPER_TEST")
            json.member("timeZone", "Europe/Berlin")
            json.member("companyCurrency", "EUR")
            json.key("additionalCurrencies")
            json.array { $0.string("USD") }
            json.member("utcOffset", "+01:00")
            json.member("utcOffsetMilliseconds", 3_600_000)
            json.member("uiDomain", "app.hubspot.com")
            json.member("dataHostingLocation", "na1")
        }
    }

    func apiUsage() -> Answer {
        let used = state.withLockedValue { $0.dailyUsed }
        let now = world.now()
        return .object { json in
            json.key("results")
            json.array { json in
                json.object { json in
                    json.member("name", "private-apps-api-calls-daily")
                    json.member("usageLimit", settings.dailyLimit)
                    json.member("currentUsage", used)
                    json.member("collectedAt", instant: now)
                    json.member("resetsAt", instant: (now / 86_400_000 + 1) * 86_400_000 - 3_600_000)
                    json.member("fetchStatus", "SUCCESS")
                }
            }
        }
    }

    func recordLimits() -> Answer {
        .object { json in
            json.key("hubspotDefinedObjectTypes")
            json.array { json in
                for type in RecordType.allCases { json.usage(type, world.count(type), of: 15_000_000) }
            }
            json.key("customObjectTypes")
            json.overall(limit: 1_500_000, usage: 0) { _ in }
        }
    }

    func propertyLimits() -> Answer {
        let counts = world.state.withLockedValue { state in
            RecordType.allCases.map { type in (type, state.shelves[type]!.catalog.all.count { !$0.hubspotDefined }) }
        }
        var json = JSONWriter()
        json.overall(limit: 10_000, usage: counts.reduce(0) { $0 + $1.1 }) { json in
            for (type, count) in counts { json.usage(type, count, of: 1000) }
        }
        return Answer(200, json: json.finish())
    }
}

extension JSONWriter {
    /// When all that has been there from the start was made: 2015-03-01.
    private static let foundation: Int64 = 1_425_168_000_000

    fileprivate mutating func definition(_ definition: PropertyDefinition) {
        let createdAt = definition.createdAt ?? JSONWriter.foundation
        object { json in
            json.member("updatedAt", instant: createdAt)
            json.member("createdAt", instant: createdAt)
            json.member("name", definition.name)
            json.member("label", definition.label)
            json.member("type", definition.type)
            json.member("fieldType", definition.fieldType)
            json.member("description", definition.description)
            json.member("groupName", definition.groupName)
            json.key("options")
            json.array { json in
                for (order, option) in definition.options.enumerated() {
                    json.object { json in
                        json.member("label", option.label)
                        json.member("value", option.value)
                        json.member("displayOrder", order)
                        json.member("hidden", false)
                    }
                }
            }
            json.member("displayOrder", -1)
            json.member("calculated", definition.calculated)
            json.member("externalOptions", definition.externalOptions)
            if definition.externalOptions { json.member("referencedObjectType", "OWNER") }
            json.member("archived", false)
            json.member("hasUniqueValue", definition.hasUniqueValue)
            json.member("hidden", definition.hidden)
            json.member("hubspotDefined", definition.hubspotDefined)
            json.key("modificationMetadata")
            json.object { json in
                json.member("archivable", !definition.hubspotDefined)
                json.member("readOnlyDefinition", definition.hubspotDefined)
                if definition.type == "enumeration" { json.member("readOnlyOptions", definition.hubspotDefined) }
                json.member("readOnlyValue", definition.isReadOnly)
            }
            json.member("formField", !definition.calculated)
            json.member("dataSensitivity", "non_sensitive")
        }
    }

    fileprivate mutating func pipeline(_ pipeline: Pipeline, order: Int) {
        object { json in
            json.member("label", pipeline.label)
            json.member("displayOrder", order)
            json.member("id", pipeline.id)
            json.key("stages")
            json.stages(pipeline)
            json.member("createdAt", instant: JSONWriter.foundation)
            json.member("updatedAt", instant: JSONWriter.foundation + 1)
            json.member("archived", false)
        }
    }

    fileprivate mutating func stages(_ pipeline: Pipeline) {
        array { json in
            for (order, stage) in pipeline.stages.enumerated() {
                json.object { json in
                    json.member("label", stage.label)
                    json.member("displayOrder", order)
                    json.key("metadata")
                    json.object { json in
                        json.member("isClosed", stage.isClosed ? "true" : "false")
                        json.member("probability", stage.probability)
                    }
                    json.member("id", stage.id)
                    json.member("createdAt", instant: JSONWriter.foundation)
                    json.member("updatedAt", instant: JSONWriter.foundation + 1)
                    json.member("archived", false)
                    json.member("writePermissions", "CRM_PERMISSIONS_ENFORCEMENT")
                }
            }
        }
    }

    fileprivate mutating func owner(_ owner: Owner) {
        object { json in
            json.member("id", String(owner.id))
            json.member("email", owner.email)
            json.member("type", "PERSON")
            json.member("firstName", owner.firstName)
            json.member("lastName", owner.lastName)
            json.key("userId")
            if owner.isArchived { json.null() } else { json.integer(owner.userId) }
            json.member("userIdIncludingInactive", owner.userId)
            json.member("createdAt", instant: JSONWriter.foundation)
            json.member("updatedAt", instant: JSONWriter.foundation + 500)
            json.member("archived", owner.isArchived)
            json.key("teams")
            json.array { json in
                json.object { json in
                    json.member("id", "178588")
                    json.member("name", "Sales")
                    json.member("primary", true)
                }
            }
        }
    }

    fileprivate mutating func usage(_ type: RecordType, _ usage: Int, of limit: Int) {
        object { json in
            json.member("objectTypeId", type.objectTypeId)
            json.member("singularLabel", type.singular.prefix(1).uppercased() + type.singular.dropFirst())
            json.member("pluralLabel", type.rawValue.prefix(1).uppercased() + type.rawValue.dropFirst())
            json.member("limit", limit)
            json.member("usage", usage)
            json.key("percentage")
            json.double(Double(usage) / Double(limit) * 100)
        }
    }

    fileprivate mutating func overall(limit: Int, usage: Int, _ types: (inout JSONWriter) -> Void) {
        object { json in
            json.member("overallLimit", limit)
            json.member("overallUsage", usage)
            json.key("overallPercentage")
            json.double(Double(usage) / Double(limit) * 100)
            json.key("byObjectType")
            json.array(types)
        }
    }
}
