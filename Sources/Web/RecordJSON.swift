import Bytes
import Model

/// The API's form of a record, written from a mirror document: the one shape for both sources.
enum RecordJSON {
    /// - Parameter properties: the names to show; nil for all.
    static func write(_ document: BSONDocument, properties: Set<String>?, to json: inout JSONWriter) {
        json.beginObject()
        for element in document.elements {
            // `_id` is `hubspotId` again, and other names with an underscore are some library's own. Associations are read from MongoDB:
            // live reads have none, and the shape is one.
            guard element.key.bytes.first != UInt8(ascii: "_"), !element.key.matches("contentHash"), !element.key.matches("associations")
            else { continue }
            if element.key.matches("properties") {
                json.key(element.key)
                json.beginObject()
                for property in element.document.elements where properties?.contains(property.key.string) ?? true {
                    json.key(property.key)
                    json.value(property, date: iso8601)
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
