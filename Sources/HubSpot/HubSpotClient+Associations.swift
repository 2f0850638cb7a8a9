internal import Bytes
internal import Curl
public import Model
public import Rules

extension HubSpotClient {
    /// HubSpot's cap on the inputs of one read of associations.
    public static let associationsMax = 1_000

    /// The ids of all `to` records that each of `ids` is associated with, by their numbers, each once whatever its labels.
    ///
    /// - Returns: an entry for every id that was read, empty when it has no associations or does not exist. An id that HubSpot failed
    ///   to read is absent.
    public func associations(
        from: RecordType, to: RecordType, ids: [String], as callClass: CallClass
    ) async throws(HubSpotError) -> [String: [String]] {
        var found: [String: [String]] = [:]
        var seen: [String: Set<String>] = [:]
        var open: [(id: String, after: String?)] = []
        for id in ids where RecordReader.isId(id) && found[id] == nil {
            found[id] = []
            open.append((id, nil))
        }
        var cursors: Set<String> = []
        while !open.isEmpty {
            let inputs = Array(open.prefix(HubSpotClient.associationsMax))
            open.removeFirst(inputs.count)
            var body = JSONWriter(capacity: 4096)
            body.object { body in
                body.key("inputs")
                body.array { body in
                    for input in inputs {
                        body.object { body in
                            body.key("id")
                            body.string(input.id)
                            if let after = input.after {
                                body.key("after")
                                body.string(after)
                            }
                        }
                    }
                }
            }
            let call = Call(
                endpoint: "associations", method: "POST", path: settings.version.associations(from, to), body: body.finish(),
                readsAssociations: true)
            let answer = try await perform(call, as: callClass) { try AssociationsAnswer($0.body) }
            for id in answer.failed(of: inputs.map(\.id)) { found[id] = nil }
            for result in answer.results where found[result.id] != nil {
                for other in result.to where seen[result.id, default: []].insert(other).inserted { found[result.id, default: []].append(other) }
                // A cursor that comes again would never end.
                if let after = result.after, cursors.insert("\(result.id) \(after)").inserted { open.append((result.id, after)) }
            }
        }
        return found.mapValues(\.inIdOrder)
    }
}

/// The answer to one read of associations.
struct AssociationsAnswer: Sendable {
    var results: [(id: String, to: [String], after: String?)] = []
    /// Ids that HubSpot could not read, for another reason than having no associations.
    private var failed: Set<String> = []
    /// Ids that have no associations, or do not exist.
    private var empty: Set<String> = []
    /// Whether something failed of which HubSpot does not say what it was.
    private var isIncomplete = false

    init(_ body: [UInt8]) throws {
        var json = JSONReader(body)
        var hasResults = false
        try json.enterObject()
        while let key = try json.nextKey() {
            if json.matches(key, "results"), try json.peek() == .array {
                hasResults = true
                try json.enterArray()
                while try json.nextElement() { try readResult(&json) }
            } else if json.matches(key, "errors"), try json.peek() == .array {
                try json.enterArray()
                while try json.nextElement() {
                    let error = try Answer.batchError(&json)
                    // HubSpot names the cause in either of two fields.
                    if error.category == "OBJECT_NOT_FOUND" || error.category == "NO_ASSOCIATIONS_FOUND"
                        || error.subCategory?.hasSuffix("NO_ASSOCIATIONS_FOUND") == true
                    {
                        empty.formUnion(error.ids)
                    } else {
                        failed.formUnion(error.ids)
                        if error.ids.isEmpty { isIncomplete = true }
                    }
                }
            } else if json.matches(key, "status") {
                if let status = try json.stringOrSkip(), status != "COMPLETE" { isIncomplete = true }
            } else {
                try json.skip()
            }
        }
        try json.finish()
        guard hasResults else { throw HubSpotClient.Damage("HubSpot's answer holds no results") }
    }

    /// Those of the asked ids that HubSpot failed to read: what it says nothing about has no associations only if nothing went wrong.
    func failed(of ids: [String]) -> Set<String> {
        guard isIncomplete else { return failed }
        return failed.union(Set(ids).subtracting(empty).subtracting(results.map(\.id)))
    }

    private mutating func readResult(_ json: inout JSONReader) throws(JSONError) {
        var id: String?
        var to: [String] = []
        var after: String?
        try json.enterObject()
        while let key = try json.nextKey() {
            if json.matches(key, "from"), try json.peek() == .object {
                try json.enterObject()
                while let key = try json.nextKey() {
                    if json.matches(key, "id") { id = try json.textOrNull().map(json.text) } else { try json.skip() }
                }
            } else if json.matches(key, "to"), try json.peek() == .array {
                try json.enterArray()
                while try json.nextElement() {
                    try json.enterObject()
                    while let key = try json.nextKey() {
                        // A number here, a string elsewhere in the same answer.
                        if json.matches(key, "toObjectId") {
                            if let other = try json.textOrNull().map(json.text), RecordReader.isId(other) { to.append(other) }
                        } else {
                            try json.skip()
                        }
                    }
                }
            } else if json.matches(key, "paging"), try json.peek() == .object {
                after = try Answer.cursor(&json)
            } else {
                try json.skip()
            }
        }
        if let id { results.append((id, to, after)) }
    }
}
