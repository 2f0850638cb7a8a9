import Bytes
import Model

/// Holds a document of the mirror against what HubSpot has. Pure; gives names, never values.
enum RecordDifference {
    /// What HubSpot has of an id.
    enum Truth {
        case live(Record)
        /// In the recycle bin.
        case archived(Record)
        case none

        var record: Record? {
            switch self {
            case .live(let record), .archived(let record): record
            case .none: nil
            }
        }
    }

    /// - Parameters:
    ///   - document: nil when the mirror has none.
    ///   - associations: HubSpot's ids of each type that could be read; empty for none.
    static func find(
        _ key: RecordKey, _ document: BSONDocument?, _ truth: Truth, _ associations: [RecordType: [String]]
    ) -> [Drift] {
        guard let document else {
            // What was in the recycle bin before the first sync need never be known.
            if case .live = truth { return [Drift(key: key, kind: .missingInMirror)] }
            return []
        }
        let isArchived = document["archived"]?.bool ?? false
        guard let record = truth.record else {
            // Deleted records leave HubSpot's recycle bin after some time, and stay in the mirror.
            return isArchived ? [] : [Drift(key: key, kind: .missingInHubSpot)]
        }
        var found: [Drift] = []
        if isArchived != record.archived { found.append(Drift(key: key, kind: .archived)) }
        let version = document["hubspotUpdatedAt"]?.milliseconds
        if let version, version > record.updatedAt.milliseconds {
            found.append(Drift(key: key, kind: .newer))
        } else if version != record.updatedAt.milliseconds {
            found.append(Drift(key: key, kind: .older))
        }
        let properties = differingProperties(document, record)
        if !properties.isEmpty { found.append(Drift(key: key, kind: .properties, names: properties)) }
        let fields = differingFields(document, record)
        if !fields.isEmpty { found.append(Drift(key: key, kind: .fields, names: fields)) }
        if !record.archived {
            let names = associations.filter { type, ids in
                let stored = document["associations"]?.document?[type.rawValue]?.array?.compactMap(\.string) ?? []
                return Set(stored) != Set(ids)
            }.map(\.key.rawValue).sorted()
            if !names.isEmpty { found.append(Drift(key: key, kind: .associations, names: names)) }
        }
        return found
    }

    /// A property that one side lacks is the same as an empty one. One that is no text in the mirror is wrong.
    private static func differingProperties(_ document: BSONDocument, _ record: Record) -> [String] {
        guard let stored = document["properties"]?.document else { return ["properties"] }
        // The usual case, at no cost.
        if stored.bytes == record.properties { return [] }
        func texts(_ document: BSONDocument) -> [String: BSONValue] {
            var texts: [String: BSONValue] = [:]
            for element in document.elements where element.type != .null { texts[element.name] = element.value }
            return texts
        }
        let ours = texts(stored), theirs = texts(BSONDocument(bytes: record.properties))
        return Set(ours.keys).union(theirs.keys).filter { ours[$0] != theirs[$0] }.sorted()
    }

    private static func differingFields(_ document: BSONDocument, _ record: Record) -> [String] {
        var stored: [String: BSONValue] = [:]
        for element in document.elements where !element.isNamed("properties") { stored[element.name] = element.value }
        var names = BSONDocument(bytes: record.fields).elements.filter { (stored[$0.name] ?? .null) != $0.value }.map(\.name)
        if stored["hubspotId"]?.string != record.id { names.append("hubspotId") }
        if stored["hubspotCreatedAt"]?.milliseconds != record.createdAt.milliseconds { names.append("hubspotCreatedAt") }
        let archivedAt = stored["archivedAt"]?.milliseconds
        if record.archived {
            // Whoever found the record missing does not know when it was deleted.
            if let archivedAt, let theirs = record.archivedAt, archivedAt != theirs.milliseconds { names.append("archivedAt") }
        } else if stored["archived"]?.bool != true, archivedAt != nil {
            names.append("archivedAt")
        }
        // A merge cannot be undone, and an event may have told more than the property does.
        let mergedIds = Set(stored["mergedIds"]?.array?.compactMap(\.string) ?? [])
        if !mergedIds.isSuperset(of: record.mergedIds) { names.append("mergedIds") }
        return names.sorted()
    }
}
