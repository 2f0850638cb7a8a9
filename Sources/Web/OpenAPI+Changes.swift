import Model

extension OpenAPI {
    static var changes: [(String, JSONTree)] {
        let position: JSONTree = ["type": "string", "pattern": "^([0-9A-F]{2}){8,500}$"]
        let nothing: JSONTree = ["type": "object"]
        let follow = operation(
            "followChanges",
            "What happens to records of the mirror: events named change, whose data is a Change; ready when what happened before is told;"
                + " reset when it cannot be told, so that everything must be read anew. Each has an id to go on from.",
            parameters: [
                query("since", "The id of the last event that the client has seen; only what comes without it.", position),
                someTypes,
                ["name": "Last-Event-ID", "in": "header", "description": "As since, and before it: what browsers send.", "schema": position],
            ],
            answers: [("200", events([("change", ref("Change")), ("ready", nothing), ("reset", nothing)])), badRequest])
        return [("/api/admin/hubspot/changes", ["get": follow])]
    }

    static var changeSchemas: [(String, JSONTree)] {
        [
            (
                "Change",
                closed(
                    [
                        ("type", ["type": "string", "enum": names(RecordType.allCases.map(\.rawValue))]), ("id", text),
                        ("kind", ["type": "string", "enum": names(RecordChange.Kind.allCases.map(\.rawValue))]),
                    ],
                    optional: [
                        (
                            "properties",
                            [
                                "type": ["array", "null"], "items": text,
                                "description": "Names of HubSpot properties that changed, never values; null when it is not known which.",
                            ]
                        ), ("associations", described(list(text), "Types of associated records of which there are others now.")),
                        ("mergedInto", described(text, "The id of the record that this one was merged into.")),
                    ])
            )
        ]
    }
}
