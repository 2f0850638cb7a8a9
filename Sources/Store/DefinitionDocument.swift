public import Bytes
public import Model

/// The layout of a document of `properties`, `pipelines` or `owners`: HubSpot's fields, with what records have too under the same names.
enum DefinitionDocument {
    static func make(_ definition: Definition, of set: DefinitionSet, at now: Timestamp) -> BSONDocument {
        var fingerprint = Fingerprint()
        fingerprint.add(definition.fields)
        var writer = BSONWriter(capacity: definition.fields.count + 256)
        writer.append("_id", set.idPrefix + definition.id)
        if let type = set.type { writer.append("objectType", type.rawValue) }
        if case .properties = set {} else { writer.append("hubspotId", definition.id) }
        var archivedAt: Int64?
        for element in BSONDocument(bytes: definition.fields).elements {
            switch element.name {
            case "id", "archived": break
            case "archivedAt": archivedAt = element.milliseconds
            case "createdAt": writer.append("hubspotCreatedAt", element.value)
            case "updatedAt": writer.append("hubspotUpdatedAt", element.value)
            case let name: writer.append(name, element.value)
            }
        }
        writer.append("archived", definition.archived)
        writer.append("archivedAt", date: archivedAt)
        writer.append("lastSyncedAt", date: now.milliseconds)
        writer.append("contentHash", fingerprint.value)
        return BSONDocument(bytes: writer.finish())
    }
}

extension Definition {
    /// The document that MongoDB would hold of it if it had been written at that instant.
    public func mirrorDocument(in set: DefinitionSet, at now: Timestamp) -> BSONDocument {
        DefinitionDocument.make(self, of: set, at: now)
    }
}
