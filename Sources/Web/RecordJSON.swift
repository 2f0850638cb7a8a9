package import Bytes
import Model

/// The API's form of a record, or of a definition, written from a mirror document: the one shape for both sources.
package enum RecordJSON {
    private static let hidden = ["contentHash", "associations", "associatedAt"]

    /// - Parameter properties: the names to show; nil for all.
    package static func write(_ document: BSONDocument, properties: Set<String>?, to json: inout JSONWriter) {
        json.beginObject()
        for element in document.elements {
            // Most names are too short for all of these.
            guard element.key.bytes.count >= 10 || element.key.bytes.first == UInt8(ascii: "_") else {
                json.key(element.key)
                json.value(element, date: iso8601)
                continue
            }
            // `_id` is `hubspotId` again, and other names with an underscore are some library's own. Associations are read from MongoDB:
            // live reads have none, and the shape is one.
            guard element.key.bytes.first != UInt8(ascii: "_"), !hidden.contains(where: { element.key.matches($0) }) else { continue }
            if element.key.matches("properties") {
                json.key(element.key)
                json.beginObject()
                if let properties {
                    for property in element.document.elements where properties.contains(property.key.string) {
                        json.key(property.key)
                        json.value(property, date: iso8601)
                    }
                } else {
                    json.members(of: element.document, date: iso8601)
                }
                json.endObject()
                continue
            }
            if element.key.matches("hubspotCreatedAt") {
                json.key("createdAt")
            } else if element.key.matches("hubspotUpdatedAt") {
                json.key("updatedAt")
            } else {
                json.key(element.key)
            }
            json.value(element, date: iso8601)
        }
        json.endObject()
    }

    private static func iso8601(_ milliseconds: Int64, _ bytes: inout [UInt8]) {
        Timestamp(milliseconds: milliseconds).appendISO8601(to: &bytes)
    }
}
