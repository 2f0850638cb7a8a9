internal import Bytes
internal import Model

/// Reads lists of properties, pipelines and owners. Whatever HubSpot sends is kept, so a field that it adds needs no new version of ours.
enum DefinitionReader {
    /// Containers within containers; HubSpot's deepest has four.
    private static let depthMax = 16
    private static let instants: Set<String> = ["createdAt", "updatedAt", "archivedAt"]

    /// - Throws: when the text is damaged, holds no results, or one of them has no key of its own.
    static func read(_ body: [UInt8], _ set: DefinitionSet) throws -> (definitions: [Definition], after: String?) {
        var json = JSONReader(body)
        var definitions: [Definition] = []
        var hasResults = false
        var after: String?
        try json.enterObject()
        while let key = try json.nextKey() {
            if json.matches(key, "results"), try json.peek() == .array {
                hasResults = true
                try json.enterArray()
                while try json.nextElement() { definitions.append(try definition(&json, set)) }
            } else if json.matches(key, "paging"), try json.peek() == .object {
                after = try Answer.cursor(&json)
            } else {
                try json.skip()
            }
        }
        try json.finish()
        guard hasResults else { throw HubSpotClient.Damage("HubSpot's answer holds no results") }
        return (definitions, after)
    }

    private static func definition(_ json: inout JSONReader, _ set: DefinitionSet) throws -> Definition {
        guard try json.peek() == .object else { throw HubSpotClient.Damage("a definition is not a JSON object") }
        var writer = BSONWriter(capacity: 1024)
        try members(&json, to: &writer, depth: 1)
        let document = BSONDocument(bytes: writer.finish())
        var key = "id"
        if case .properties = set { key = "name" }
        guard let id = document[key]?.string, !id.isEmpty else { throw HubSpotClient.Damage("a definition has no \(key)") }
        return Definition(
            id: id, archived: document["archived"]?.bool ?? false,
            createdAt: document["createdAt"]?.milliseconds.map(Timestamp.init(milliseconds:)), fields: document.bytes)
    }

    private static func members(_ json: inout JSONReader, to writer: inout BSONWriter, depth: Int) throws {
        try json.enterObject()
        while let key = try json.nextKey() {
            // A name that BSON cannot hold is none of HubSpot's.
            if json.holdsNUL(key) { try json.skip() } else { try value(json.text(key), &json, to: &writer, depth: depth) }
        }
    }

    private static func value(_ name: String, _ json: inout JSONReader, to writer: inout BSONWriter, depth: Int) throws {
        guard depth < depthMax else { throw HubSpotClient.Damage("a definition is nested too deeply") }
        switch try json.peek() {
        case .string:
            let text = try json.string()
            if instants.contains(name), let instant = json.withCharacters(of: text, { Timestamp(property: $0) }) {
                writer.append(name, date: instant.milliseconds)
            } else {
                writer.append(name, json.text(text))
            }
        case .number:
            let range = try json.number()
            let text = String(decoding: json.bytes[range], as: UTF8.self)
            if let number = Int32(text) {
                writer.append(name, number)
            } else if let number = Int64(text) {
                writer.append(name, number)
            } else if let number = Double(text), number.isFinite {
                writer.append(name, number)
            } else {
                writer.appendNull(name)
            }
        case .bool: writer.append(name, try json.bool())
        case .null:
            try json.null()
            writer.appendNull(name)
        case .array:
            try json.enterArray()
            try writer.array(name) { array in
                var index = 0
                while try json.nextElement() {
                    try value(String(index), &json, to: &array, depth: depth + 1)
                    index += 1
                }
            }
        case .object:
            var inner = BSONWriter()
            try members(&json, to: &inner, depth: depth + 1)
            let document = BSONDocument(bytes: inner.finish())
            writer.append(name, document: document.bytes)
            if name == "metadata" { typed(document, to: &writer) }
        }
    }

    /// - Source: platform page, section 5.11: the metadata of a stage are texts.
    private static func typed(_ metadata: BSONDocument, to writer: inout BSONWriter) {
        if let isClosed = metadata["isClosed"]?.string { writer.append("isClosed", isClosed == "true") }
        if let text = metadata["probability"]?.string, let probability = RecordReader.number(Array(text.utf8)) {
            writer.append("probability", probability)
        }
    }
}
