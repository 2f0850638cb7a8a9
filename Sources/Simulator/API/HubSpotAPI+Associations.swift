import Bytes
import Model
import NIOConcurrencyHelpers

extension HubSpotAPI {
    func associations(_ from: RecordType, _ to: RecordType, _ kind: Endpoint.BatchKind, _ call: Call) throws(APIError) -> Answer {
        guard let inputs = try body(call)["inputs"]?.array else { throw .validation("inputs is required", in: "inputs") }
        let isVersion4 = call.path.hasPrefix("/crm/v4/")
        let inputsMax = kind == .read ? 1000 : 2000
        guard inputs.count <= inputsMax else { throw .validation("at most \(inputsMax) inputs, was \(inputs.count)", in: "inputs") }
        switch kind {
        case .read: return try readAssociations(from, to, inputs)
        case .create, .associateDefault:
            // Version 4 answers 201 to a creation and 204 to a removal, the dated versions 200 to both.
            let status = isVersion4 && kind == .create ? 201 : 200
            return try createAssociations(from, to, inputs, isDefault: kind == .associateDefault, status: status)
        case .archive:
            for input in inputs {
                let id = try id(input["from"]?["id"])
                for other in input["to"]?.array ?? [] { world.dissociate(from, id, to, try self.id(other["id"])) }
            }
            return isVersion4 ? Answer(204) : batchAnswer(200, results: [], errors: [])
        case .update, .upsert: throw .noSuchPath
        }
    }

    private func id(_ json: JSONValue?) throws(APIError) -> Int64 {
        guard let id = json?.text.flatMap({ Int64($0) }) else { throw .validation("an id is required and numeric", in: "inputs") }
        return id
    }

    private func readAssociations(_ from: RecordType, _ to: RecordType, _ inputs: [JSONValue]) throws(APIError) -> Answer {
        var results: [[UInt8]] = []
        var errors: [BatchError] = []
        for input in inputs {
            let id = try id(input["id"])
            var after: Int64 = 0
            if let cursor = input["after"]?.text, !cursor.isEmpty {
                guard let number = Int64(cursor) else { throw .validation("after is not a cursor", in: "inputs") }
                after = number
            }
            let links = links(from, id, to)
            guard !links.isEmpty else {
                errors.append(
                    BatchError(
                        subCategory: "crm.associations.NO_ASSOCIATIONS_FOUND",
                        message: "No \(to.singular) is associated with \(from.singular) \(id).",
                        context: [
                            ("fromObjectId", [String(id)]), ("fromObjectType", [from.singular]), ("toObjectType", [to.singular]),
                        ]))
                continue
            }
            var json = JSONWriter()
            json.object { json in
                json.key("from")
                json.object { $0.member("id", String(id)) }
                let next = page(links, after: after, limit: settings.associationPageSize, "to", &json)
                if let next {
                    json.key("paging")
                    json.object { json in
                        json.key("next")
                        json.object { json in
                            json.member("after", next)
                            json.member(
                                "link", "https://api.hubapi.com/crm/v4/objects/\(from)/\(id)/associations/\(to)?after=\(next)")
                        }
                    }
                }
            }
            results.append(json.finish())
        }
        return batchAnswer(errors.isEmpty ? 200 : 207, results: results, errors: errors)
    }

    private func links(_ from: RecordType, _ id: Int64, _ to: RecordType) -> [Associations.Link] {
        world.state.withLockedValue { state in
            guard let entry = state.shelves[from]!.resolved(id), entry.state.fate == .live else { return [] }
            return state.associations.links(from, entry.id, to, shelves: state.shelves)
        }
    }

    /// Writes the associated records from `after` on.
    ///
    /// - Returns: the cursor of the next page.
    private func page(
        _ links: [Associations.Link], after: Int64, limit: Int, _ name: String, _ json: inout JSONWriter
    ) -> String? {
        let rest = links.drop { $0.id < after }
        json.key(name)
        json.array { json in
            for link in rest.prefix(limit) {
                json.object { json in
                    json.key("toObjectId")
                    if settings.associationIdsAsStrings { json.string(String(link.id)) } else { json.integer(link.id) }
                    json.key("associationTypes")
                    json.array { json in for type in link.types { json.association(type) } }
                }
            }
        }
        return rest.dropFirst(limit).first.map { String($0.id) }
    }

    func recordAssociations(_ from: RecordType, _ id: String, _ to: RecordType, _ call: Call) throws(APIError) -> Answer {
        let limit = try number("limit", call, default: settings.associationPageSize, in: 1...500)
        let after = try number("after", call, default: 0, in: 0...Int.max)
        guard let number = Int64(id), world.state.withLockedValue({ $0.shelves[from]!.resolved(number)?.state.fate == .live })
        else {
            throw .noSuchRecord(id)
        }
        let links = links(from, number, to)
        var json = JSONWriter()
        json.object { json in
            if let next = page(links, after: Int64(after), limit: limit, "results", &json) {
                json.key("paging")
                json.raw(nextPage(next, call))
            }
        }
        return Answer(200, json: json.finish())
    }

    private func createAssociations(
        _ from: RecordType, _ to: RecordType, _ inputs: [JSONValue], isDefault: Bool, status: Int
    ) throws(APIError) -> Answer {
        var results: [[UInt8]] = []
        var errors: [BatchError] = []
        for input in inputs {
            let a = try id(input["from"]?["id"])
            let b = try id(input["to"]?["id"])
            let types = isDefault ? [AssociationType.unlabeled(from, to)] : try types(input["types"], from, to)
            do throws(WorldError) {
                try world.associate(from, a, to, b, types: types)
                results.append(pair(from, String(a), to, String(b), types, isDefault: isDefault))
            } catch {
                errors.append(
                    BatchError(
                        message: "One or more ids are not valid.",
                        context: [("fromObjectId", [String(a)]), ("toObjectId", [String(b)])]))
            }
        }
        return batchAnswer(errors.isEmpty ? status : 207, results: results, errors: errors)
    }

    private func types(_ json: JSONValue?, _ from: RecordType, _ to: RecordType) throws(APIError) -> [AssociationType] {
        var types: [AssociationType] = []
        for spec in json?.array ?? [] {
            let category = spec["associationCategory"]?.text ?? "HUBSPOT_DEFINED"
            guard let number = spec["associationTypeId"]?.integer,
                let type = AssociationType.withId(number, category: category, from: from, to: to)
            else { throw .validation("invalid association type between \(from) and \(to)", in: "types") }
            types.append(type)
        }
        return types
    }

    private func pair(
        _ from: RecordType, _ id: String, _ to: RecordType, _ other: String, _ types: [AssociationType], isDefault: Bool
    ) -> [UInt8] {
        var json = JSONWriter()
        json.object { json in
            if isDefault {
                json.key("from")
                json.object { $0.member("id", id) }
                json.key("to")
                json.object { $0.member("id", other) }
                json.key("associationSpec")
                json.object { json in
                    json.member("associationCategory", types[0].category)
                    json.member("associationTypeId", types[0].id)
                }
            } else {
                json.member("fromObjectTypeId", from.objectTypeId)
                json.member("fromObjectId", id)
                json.member("toObjectTypeId", to.objectTypeId)
                json.member("toObjectId", other)
                json.key("labels")
                json.array { json in for type in types { if let label = type.label { json.string(label) } } }
            }
        }
        return json.finish()
    }

    func associate(
        _ from: RecordType, _ id: String, _ to: RecordType, _ other: String, isDefault: Bool, _ call: Call
    ) throws(APIError) -> Answer {
        guard let a = Int64(id), let b = Int64(other) else { throw .noSuchRecord(id) }
        let types = isDefault ? [AssociationType.unlabeled(from, to)] : try types(try body(call), from, to)
        do throws(WorldError) { try world.associate(from, a, to, b, types: types) } catch { throw APIError(error, id: id) }
        let result = pair(from, id, to, other, types, isDefault: isDefault)
        return isDefault ? batchAnswer(200, results: [result], errors: []) : Answer(201, json: result)
    }

    func dissociate(_ from: RecordType, _ id: String, _ to: RecordType, _ other: String) throws(APIError) -> Answer {
        guard let a = Int64(id), let b = Int64(other) else { throw .noSuchRecord(id) }
        world.dissociate(from, a, to, b)
        return Answer(204)
    }

    func associationLabels(_ from: RecordType, _ to: RecordType) -> Answer {
        .object { json in
            json.key("results")
            json.array { json in
                for type in [AssociationType.primary(from, to), AssociationType.unlabeled(from, to)].compactMap(\.self) {
                    json.association(type)
                }
            }
        }
    }
}

extension JSONWriter {
    fileprivate mutating func association(_ type: AssociationType) {
        object { json in
            json.member("category", type.category)
            json.member("typeId", type.id)
            json.member("label", type.label)
        }
    }
}
