import Model

extension OpenAPI {
    static var definitions: [(String, JSONTree)] {
        let prefix = "/api/admin/hubspot"
        let parameters = [
            useSync, query("archived", "Those that are gone from HubSpot's list, instead of those on it.", ["type": "boolean", "default": false]),
        ]
        let type = path("type", "Whose properties.", ["type": "string", "enum": names(RecordType.allCases.map(\.rawValue))])
        func list(_ id: String, _ summary: String, _ more: [JSONTree], _ schema: String) -> JSONTree {
            ["get": operation(id, summary, parameters: more + parameters, answers: [("200", answer("All of them.", ref(schema))), badRequest] + (more.isEmpty ? [] : [notFound]))]
        }
        return [
            ("\(prefix)/properties/{type}", list("listProperties", "The definitions of all properties of a type.", [type], "Properties")),
            ("\(prefix)/pipelines", list("listPipelines", "The pipelines of deals, with their stages.", [], "Pipelines")),
            ("\(prefix)/owners", list("listOwners", "Everybody whom records can belong to.", [], "Owners")),
        ]
    }

    static var definitionSchemas: [(String, JSONTree)] {
        func page(_ name: String, _ schema: String) -> JSONTree {
            closed([(name, list(ref(schema)))] + source + [("total", count)], optional: [fallback])
        }
        return [
            ("Properties", page("properties", "Property")), ("Pipelines", page("pipelines", "Pipeline")), ("Owners", page("owners", "Owner")),
            (
                "Property",
                definition(
                    [("objectType", text), ("name", described(text, "What records call it by."))],
                    "label, type, fieldType, description, groupName, options, calculated, hasUniqueValue, hubspotDefined and so on")
            ),
            (
                "Pipeline",
                definition(
                    [("objectType", text), ("hubspotId", described(text, "What a deal's pipeline field holds."))],
                    "label, displayOrder and stages with id (what a deal's dealStage field holds), label, displayOrder, isClosed, probability and so on"
                )
            ),
            (
                "Owner",
                definition(
                    [("hubspotId", described(text, "What a record's ownerId field holds."))], "email, firstName, lastName, type, userId, teams and so on")
            ),
            (
                "DefinitionState",
                closed([
                    ("total", countOrNull), ("lastSyncedAt", described(instantOrNull, "When the list was last read whole.")),
                    ("error", described(["type": ["string", "null"]], "Why it could not be read since then: a missing scope, say.")),
                ])
            ),
        ]
    }

    private static func definition(_ own: [(String, JSONTree)], _ theirs: String) -> JSONTree {
        let ours: [(String, JSONTree)] = [("archived", flag), ("archivedAt", instantOrNull), ("lastSyncedAt", instant)]
        return closed(own + ours, optional: [("createdAt", instantOrNull), ("updatedAt", instantOrNull)]).with([
            "description": .text("With HubSpot's fields in HubSpot's names: \(theirs)."), "additionalProperties": true,
        ])
    }
}
