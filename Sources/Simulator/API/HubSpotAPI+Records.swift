import Bytes
import Model
import NIOConcurrencyHelpers

extension HubSpotAPI {
    // MARK: One page, one record

    func list(_ type: RecordType, _ call: Call) throws(APIError) -> Answer {
        let history = call.list("propertiesWithHistory") ?? []
        let limit = try number("limit", call, default: 10, in: 1...(history.isEmpty ? 100 : 50))
        let archived = try flag("archived", call)
        var after: Int64 = 0
        if let text = call.query("after").last, !text.isEmpty {
            guard let id = settings.listCursors.start(text) else {
                throw .validation("after is not a cursor of this list: \(text)", in: "after")
            }
            after = id
        }
        let associated = try associatedTypes(call)
        let names = call.list("properties")
        let (page, next) = world.state.withLockedValue { state -> ([UInt8], String?) in
            let shelf = state.shelves[type]!
            var view = RecordView(names, history: history, shelf: shelf)
            view.associations = associated
            var bytes = Array(#"{"results":["#.utf8)
            bytes.reserveCapacity(limit * (400 + 48 * view.columns.count))
            var count = 0
            var last: Int64 = 0
            var next: Int64?
            func add(_ entry: Entry) -> Bool {
                guard count < limit else {
                    next = entry.id
                    return false
                }
                if count > 0 { bytes.append(UInt8(ascii: ",")) }
                count += 1
                last = entry.id
                append(entry, view, state, type, to: &bytes)
                return true
            }
            if archived {
                for id in shelf.archived[shelf.archived.lowerBound(after)...] {
                    guard let entry = shelf.entries[id], add(entry) else { break }
                }
            } else {
                shelf.forEachLive(from: after, add)
            }
            return (bytes, next.map { settings.listCursors.cursor(last: last, next: $0) })
        }
        var bytes = page
        bytes += "]".utf8
        if let next {
            bytes += #","paging":"#.utf8
            bytes += nextPage(next, call)
        }
        bytes += "}".utf8
        return Answer(200, json: bytes)
    }

    func get(_ type: RecordType, _ id: String, _ call: Call) throws(APIError) -> Answer {
        let archived = try flag("archived", call)
        let associated = try associatedTypes(call)
        let idProperty = try uniqueProperty(call.query("idProperty").last, type)
        let names = call.list("properties")
        let history = call.list("propertiesWithHistory") ?? []
        let bytes = world.state.withLockedValue { state -> [UInt8]? in
            guard let entry = find(id, idProperty, archived: archived, state.shelves[type]!) else { return nil }
            var view = RecordView(names, history: history, shelf: state.shelves[type]!)
            view.associations = associated
            var bytes: [UInt8] = []
            append(entry, view, state, type, to: &bytes)
            return bytes
        }
        guard let bytes else { throw .noSuchRecord(id) }
        return Answer(200, json: bytes)
    }

    /// The record that an id or unique value leads to: merges followed, and only live or only archived ones.
    ///
    /// - Parameter time: nil for the current state.
    private func find(_ id: String, _ idProperty: String?, archived: Bool, asOf time: Int64? = nil, _ shelf: Shelf) -> Entry? {
        if let idProperty, idProperty != "hs_object_id" { return archived ? nil : shelf.holder(of: id, property: idProperty) }
        guard let number = Int64(id), let entry = time.map({ shelf.resolved(number, asOf: $0) }) ?? shelf.resolved(number) else {
            return nil
        }
        if archived { return entry.id == number && entry.state.fate == .archived ? entry : nil }
        return entry.state.fate == .live ? entry : nil
    }

    /// One record by its current state, as `create` and `update` answer.
    private func shown(_ type: RecordType, _ id: Int64, names: [String]? = nil) -> [UInt8] {
        world.state.withLockedValue { state in
            var bytes: [UInt8] = []
            let shelf = state.shelves[type]!
            if let entry = shelf.resolved(id) {
                append(entry, RecordView(names, shelf: shelf), state, type, to: &bytes)
            }
            return bytes
        }
    }

    private func append(_ entry: Entry, _ view: RecordView, _ state: World.State, _ type: RecordType, to bytes: inout [UInt8]) {
        guard !view.associations.isEmpty else {
            state.shelves[type]!.append(entry, view, portal: portal, to: &bytes)
            return
        }
        var lists: [UInt8] = []
        for other in view.associations {
            let links = state.associations.links(type, entry.id, other, shelves: state.shelves)
            guard !links.isEmpty else { continue }
            lists += lists.isEmpty ? #","associations":{""#.utf8 : #",""#.utf8
            lists += other.rawValue.utf8
            lists += #"":{"results":["#.utf8
            var isFirst = true
            for link in links.prefix(100) {
                for kind in link.types {
                    if !isFirst { lists.append(UInt8(ascii: ",")) }
                    isFirst = false
                    lists += #"{"id":""#.utf8
                    lists.append(decimal: link.id)
                    lists += #"","type":""#.utf8
                    lists += kind.name.utf8
                    lists += #""}"#.utf8
                }
            }
            lists += "]".utf8
            if links.count > 100 {
                let next = String(links[100].id)
                let link = "https://api.hubapi.com/crm/v4/objects/\(type)/\(entry.id)/associations/\(other)?after=\(next)"
                lists += #","paging":{"next":{"after":"\#(next)","link":"\#(link)"}}"#.utf8
            }
            lists += "}".utf8
        }
        if !lists.isEmpty { lists += "}".utf8 }
        state.shelves[type]!.append(entry, view, portal: portal, associations: { $0 += lists }, to: &bytes)
    }

    private func associatedTypes(_ call: Call) throws(APIError) -> [RecordType] {
        var types: [RecordType] = []
        for name in call.list("associations") ?? [] {
            guard let type = RecordType(pathName: name, allowsSingular: true) else { continue }
            if !types.contains(type) { types.append(type) }
        }
        return types
    }

    /// - Throws: 400 when the property is not unique.
    private func uniqueProperty(_ name: String?, _ type: RecordType) throws(APIError) -> String? {
        guard let name, !name.isEmpty else { return nil }
        let isUnique = world.state.withLockedValue { $0.shelves[type]!.catalog[name]?.hasUniqueValue ?? false }
        guard isUnique else {
            throw .validation("Property \(name) is not a unique property of \(type)", code: "INVALID_ID_PROPERTY", in: "idProperty")
        }
        return name
    }

    // MARK: Writes

    func create(_ type: RecordType, _ call: Call) throws(APIError) -> Answer {
        let id = try create(type, try body(call))
        return Answer(201, json: shown(type, id))
    }

    private func create(_ type: RecordType, _ body: JSONValue) throws(APIError) -> Int64 {
        guard let properties = body["properties"]?.properties else { throw .validation("properties is required", in: "properties") }
        let id: Int64
        do throws(WorldError) { id = try world.create(type, properties, source: "INTEGRATION") } catch { throw APIError(error) }
        for association in body["associations"]?.array ?? [] {
            guard let other = association["to"]?["id"]?.text.flatMap({ Int64($0) }), let spec = association["types"]?.array?.first,
                let number = spec["associationTypeId"]?.integer,
                let to = RecordType.allCases.first(where: {
                    AssociationType.withId(number, category: "HUBSPOT_DEFINED", from: type, to: $0) != nil
                }),
                let kind = AssociationType.withId(number, category: "HUBSPOT_DEFINED", from: type, to: to)
            else { throw .validation("invalid association", in: "associations") }
            do throws(WorldError) { try world.associate(type, id, to, other, types: [kind]) } catch { throw APIError(error) }
        }
        return id
    }

    func update(_ type: RecordType, _ id: String, _ call: Call) throws(APIError) -> Answer {
        let idProperty = try uniqueProperty(call.query("idProperty").last, type)
        guard let properties = try body(call)["properties"]?.properties else {
            throw .validation("properties is required", in: "properties")
        }
        guard let entry = world.state.withLockedValue({ find(id, idProperty, archived: false, $0.shelves[type]!) }) else {
            throw .noSuchRecord(id)
        }
        do throws(WorldError) { try world.update(type, entry.id, properties, source: "INTEGRATION") } catch {
            throw APIError(error, id: id)
        }
        return Answer(200, json: shown(type, entry.id, names: Array(properties.keys)))
    }

    func delete(_ type: RecordType, _ id: String) throws(APIError) -> Answer {
        guard let number = Int64(id) else { throw .noSuchRecord(id) }
        do throws(WorldError) {
            try world.archive(type, number, source: "INTEGRATION")
        } catch {
            // Deleting what is already deleted succeeds; only an id that was never given is unknown.
            if world.state.withLockedValue({ $0.shelves[type]!.entry(number) }) == nil { throw APIError(error, id: id) }
        }
        return Answer(204)
    }

    func merge(_ type: RecordType, _ call: Call) throws(APIError) -> Answer {
        let body = try body(call)
        guard let primary = body["primaryObjectId"]?.text.flatMap({ Int64($0) }),
            let other = body["objectIdToMerge"]?.text.flatMap({ Int64($0) })
        else { throw .validation("primaryObjectId and objectIdToMerge are required") }
        let id: Int64
        do throws(WorldError) {
            id = try world.merge(type, primary: primary, other: other)
        } catch {
            throw error.kind == .notFound ? .validation("Unable to merge objects: \(primary) and \(other)") : APIError(error)
        }
        return Answer(200, json: shown(type, id))
    }

    func gdprDelete(_ type: RecordType, _ call: Call) throws(APIError) -> Answer {
        guard type == .contacts else { throw .noSuchPath }
        let body = try body(call)
        guard let id = body["objectId"]?.text else { throw .validation("objectId is required", in: "objectId") }
        let idProperty = try uniqueProperty(body["idProperty"]?.text, type)
        guard
            let entry = world.state.withLockedValue({ state in
                find(id, idProperty, archived: false, state.shelves[type]!)
                    ?? find(id, idProperty, archived: true, state.shelves[type]!)
            })
        else { throw .noSuchRecord(id) }
        do throws(WorldError) { try world.gdprDelete(entry.id) } catch { throw APIError(error, id: id) }
        return Answer(204)
    }

    // MARK: Batches

    func batch(_ type: RecordType, _ kind: Endpoint.BatchKind, _ call: Call) throws(APIError) -> Answer {
        let body = try body(call)
        guard let inputs = body["inputs"]?.array else { throw .validation("inputs is required", in: "inputs") }
        guard inputs.count <= 100 else {
            throw .validation(
                "Invalid input: the maximum number of inputs supported in a batch request for \(type) is 100, was \(inputs.count)",
                in: "inputs")
        }
        switch kind {
        case .read: return try batchRead(type, body, inputs, archived: try flag("archived", call))
        case .archive:
            for input in inputs {
                guard let id = input["id"]?.text else { throw .validation("id is required", in: "inputs") }
                _ = try? delete(type, id)  // an unknown id is passed over
            }
            return Answer(204)
        case .create:
            var ids: [Int64] = []
            for input in inputs { ids.append(try create(type, input)) }
            return batchAnswer(201, results: ids.map { shown(type, $0) }, errors: [])
        case .update, .upsert:
            var results: [[UInt8]] = []
            var missing: [String] = []
            for input in inputs {
                guard let id = input["id"]?.text, let properties = input["properties"]?.properties else {
                    throw .validation("id and properties are required", in: "inputs")
                }
                let idProperty = try uniqueProperty(input["idProperty"]?.text, type)
                // Unlike the update of one record, a batch does not follow merges.
                let entry = world.state.withLockedValue { state -> Entry? in
                    guard let entry = find(id, idProperty, archived: false, state.shelves[type]!) else { return nil }
                    return idProperty != nil || String(entry.id) == id ? entry : nil
                }
                if let entry {
                    do throws(WorldError) { try world.update(type, entry.id, properties, source: "INTEGRATION") } catch {
                        throw APIError(error, id: id)
                    }
                    results.append(
                        marked(shown(type, entry.id, names: Array(properties.keys)), isNew: kind == .upsert ? false : nil))
                } else if kind == .upsert, let idProperty {
                    var properties = properties
                    properties[idProperty] = id
                    let made = try create(type, .object(["properties": .object(properties.mapValues(JSONValue.string))]))
                    results.append(marked(shown(type, made), isNew: true))
                } else {
                    missing.append(id)
                }
            }
            return batchAnswer(
                missing.isEmpty ? 200 : 207, results: results, errors: missing.isEmpty ? [] : [notFound(type, missing)])
        case .associateDefault: throw .noSuchPath
        }
    }

    /// An upsert's results say which records are new.
    private func marked(_ record: [UInt8], isNew: Bool?) -> [UInt8] {
        guard let isNew, record.last == UInt8(ascii: "}") else { return record }
        return record.dropLast() + Array((isNew ? #","new":true}"# : #","new":false}"#).utf8)
    }

    private func batchRead(_ type: RecordType, _ body: JSONValue, _ inputs: [JSONValue], archived: Bool) throws(APIError) -> Answer
    {
        let idProperty = try uniqueProperty(body["idProperty"]?.text, type)
        let names = body["properties"]?.array?.compactMap(\.text)
        let history = body["propertiesWithHistory"]?.array?.compactMap(\.text) ?? []
        guard history.isEmpty || inputs.count <= 50 else {
            throw .validation("at most 50 inputs with propertiesWithHistory", in: "inputs")
        }
        var ids: [String] = []
        for input in inputs {
            guard let id = input["id"]?.text else { throw .validation("id is required", in: "inputs") }
            ids.append(id)
        }
        let chance = self.state.withLockedValue { $0.random.unit() }
        let (results, missing) = world.state.withLockedValue { state in
            let shelf = state.shelves[type]!
            let time = state.readLagMs > 0 ? world.now() - Int64(chance * Double(state.readLagMs)) : nil
            // An empty list asks for the default set, as an absent one does.
            let view = RecordView(names.flatMap { $0.isEmpty ? nil : $0 }, history: history, shelf: shelf)
            var missing: [String] = []
            var found: [Int64: Entry] = [:]
            for id in ids {
                if let entry = find(id, idProperty, archived: archived, asOf: time, shelf) {
                    found[entry.id] = entry
                } else if !missing.contains(id) {
                    missing.append(id)
                }
            }
            // HubSpot promises no order; by id is one that is seldom the caller's.
            let results = found.keys.sorted().map { id in
                var bytes: [UInt8] = []
                shelf.append(found[id]!, view, portal: portal, to: &bytes)
                return bytes
            }
            return (results, missing)
        }
        return batchAnswer(missing.isEmpty ? 200 : 207, results: results, errors: missing.isEmpty ? [] : [notFound(type, missing)])
    }

    func notFound(_ type: RecordType, _ ids: [String]) -> BatchError {
        BatchError(
            message:
                "Could not get some \(type.singular.uppercased()) objects, they may be deleted or not exist. Check that ids are valid.",
            context: [("ids", ids)])
    }

    /// The answer to a batch: 200 and 201, or 207 when there are errors. `numErrors` counts groups, not ids.
    func batchAnswer(_ status: Int, results: [[UInt8]], errors: [BatchError]) -> Answer {
        let now = world.now()
        var json = JSONWriter(capacity: results.reduce(512) { $0 + $1.count + 1 })
        json.object { json in
            json.member("status", "COMPLETE")
            json.key("results")
            json.array { json in for result in results { json.raw(result) } }
            if !errors.isEmpty {
                json.member("numErrors", errors.count)
                json.key("errors")
                json.array { json in
                    for error in errors {
                        json.object { json in
                            json.member("status", "error")
                            json.member("category", error.category)
                            if let subCategory = error.subCategory { json.member("subCategory", subCategory) }
                            json.member("message", error.message)
                            json.key("errors")
                            json.array { _ in }
                            json.key("context")
                            json.strings(error.context)
                            json.key("links")
                            json.object { _ in }
                        }
                    }
                }
            }
            json.member("startedAt", instant: now)
            json.member("completedAt", instant: now + 1)
        }
        return Answer(status, json: json.finish())
    }
}
