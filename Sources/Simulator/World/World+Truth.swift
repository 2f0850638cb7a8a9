import Bytes
public import Model
import NIOConcurrencyHelpers

extension World {
    /// Live and archived records in order of ids, from `id` on.
    public func records(_ type: RecordType, from id: Int64 = 0, limit: Int = .max) -> [TrueRecord] {
        state.withLockedValue { state in
            let shelf = state.shelves[type]!
            let names = shelf.catalog.all.map(\.name)
            var records: [TrueRecord] = []
            shelf.forEachLive(from: id, includingArchived: true) { entry in
                guard records.count < limit else { return false }
                var properties: [String: String?] = [:]
                for name in names { properties.updateValue(shelf.value(name, of: entry), forKey: name) }
                records.append(
                    TrueRecord(
                        id: entry.id, properties: properties, createdAt: entry.state.createdAt, updatedAt: entry.state.updatedAt,
                        archived: entry.state.fate == .archived, archivedAt: entry.state.archivedAt,
                        mergedIds: entry.state.merged.map(\.id)))
                return true
            }
            return records
        }
    }

    /// Ids that no longer are records of their own: merged ones with their survivor, and nil for those deleted for privacy.
    public func gone(_ type: RecordType) -> [Int64: Int64?] {
        state.withLockedValue { state in
            let shelf = state.shelves[type]!
            var gone: [Int64: Int64?] = [:]
            for (id, entry) in shelf.entries {
                switch entry.state.fate {
                case .merged: gone.updateValue(shelf.resolved(id)?.id, forKey: id)
                case .purged: gone.updateValue(nil, forKey: id)
                case .live, .archived: break
                }
            }
            return gone
        }
    }

    /// `{"results":[…],"after":"…"}` with everything about live and archived records: the object API's form with all properties,
    /// `mergedIds` and the associated ids of each type.
    func truth(_ type: RecordType, from id: Int64, limit: Int) -> [UInt8] {
        state.withLockedValue { state in
            let shelf = state.shelves[type]!
            let view = RecordView(shelf.catalog.all.map(\.name), shelf: shelf)
            let portal = Array(String(settings.portalId).utf8)
            var bytes = Array(#"{"results":["#.utf8)
            var count = 0
            var next: Int64?
            shelf.forEachLive(from: id, includingArchived: true) { entry in
                guard count < limit else {
                    next = entry.id
                    return false
                }
                if count > 0 { bytes.append(UInt8(ascii: ",")) }
                count += 1
                shelf.append(
                    entry, view, portal: portal,
                    associations: { bytes in
                        bytes += #","mergedIds":["#.utf8
                        bytes += entry.state.merged.map { "\"\($0.id)\"" }.joined(separator: ",").utf8
                        bytes += #"],"associatedIds":{"#.utf8
                        for (place, other) in RecordType.allCases.enumerated() {
                            let ids = state.associations.links(type, entry.id, other, shelves: state.shelves).map { "\"\($0.id)\"" }
                            bytes += "\(place > 0 ? "," : "")\"\(other)\":[\(ids.joined(separator: ","))]".utf8
                        }
                        bytes += "}".utf8
                    }, to: &bytes)
                return true
            }
            bytes += "]".utf8
            if let next { bytes += #","after":"\#(next)""#.utf8 }
            bytes += "}".utf8
            return bytes
        }
    }
}
