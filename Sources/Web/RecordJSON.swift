package import Bytes

/// The API's form of a record, or of a definition, written from a mirror document: the one shape for both sources.
package enum RecordJSON {
    /// - Parameter properties: the names to show; nil for all.
    package static func write(_ document: BSONDocument, properties: Set<String>?, to json: inout JSONWriter) {
        json.object { json in
            json.members(of: document) { name in
                // Most names are too short for all of these.
                guard name.count >= 10 || name.count > 0 && name[0] == UInt8(ascii: "_") else { return .asItIs }
                // `_id` is `hubspotId` again, and other names with an underscore are some library's own. Associations are read from MongoDB:
                // live reads have none, and the shape is one.
                if name[0] == UInt8(ascii: "_") || name.equals("contentHash") || name.equals("associations") || name.equals("associatedAt") { return .omitted }
                if name.equals("hubspotCreatedAt") { return .renamed("createdAt") }
                if name.equals("hubspotUpdatedAt") { return .renamed("updatedAt") }
                if let properties, name.equals("properties") { return .only(properties) }
                return .asItIs
            }
        }
    }
}
