import Bytes
import Model

/// Records as JSON bytes, without a tree in between.
extension Shelf {
    /// Appends one record as the object API shows it.
    func append(
        _ entry: Entry, _ view: RecordView, portal: [UInt8], associations: (inout [UInt8]) -> Void = { _ in }, to bytes: inout [UInt8]
    ) {
        let state = entry.state
        bytes += #"{"id":""#.utf8
        bytes.append(decimal: entry.id)
        bytes += #"","properties":{"#.utf8
        var isFirst = true
        for column in view.columns {
            if !isFirst { bytes.append(UInt8(ascii: ",")) }
            isFirst = false
            bytes += column.key
            if !appendValue(column, entry, to: &bytes) { bytes += "null".utf8 }
        }
        bytes += "}".utf8
        if !view.history.isEmpty {
            bytes += #","propertiesWithHistory":{"#.utf8
            isFirst = true
            for column in view.history {
                if !isFirst { bytes.append(UInt8(ascii: ",")) }
                isFirst = false
                bytes += column.key
                bytes += #"[{"value":"#.utf8
                if !appendValue(column, entry, to: &bytes) { bytes += #""""#.utf8 }
                bytes += #","timestamp":""#.utf8
                Instant.append(state.changes[column.name] == nil ? state.createdAt : state.updatedAt, to: &bytes)
                bytes += #"","sourceType":"CRM_UI","sourceId":"userId:52530071","sourceLabel":null,"updatedByUserId":52530071}]"#.utf8
            }
            bytes += "}".utf8
        }
        bytes += #","createdAt":""#.utf8
        Instant.append(state.createdAt, to: &bytes)
        bytes += #"","updatedAt":""#.utf8
        Instant.append(state.updatedAt, to: &bytes)
        bytes += (state.fate == .archived ? #"","archived":true"# : #"","archived":false"#).utf8
        if let archivedAt = state.archivedAt {
            bytes += #","archivedAt":""#.utf8
            Instant.append(archivedAt, to: &bytes)
            bytes += #"""#.utf8
        }
        associations(&bytes)
        bytes += #","url":"https://app.hubspot.com/contacts/"#.utf8
        bytes += portal
        bytes += "/record/".utf8
        bytes += type.objectTypeId.utf8
        bytes += "/".utf8
        bytes.append(decimal: entry.id)
        bytes += #""}"#.utf8
    }

    /// - Returns: false, with nothing appended, when the record has no value.
    private func appendValue(_ column: RecordView.Column, _ entry: Entry, to bytes: inout [UInt8]) -> Bool {
        func instant(_ milliseconds: Int64) {
            bytes.append(UInt8(ascii: "\""))
            Instant.append(milliseconds, to: &bytes)
            bytes.append(UInt8(ascii: "\""))
        }
        switch column.source {
        case .alwaysNull: return false
        case .id:
            bytes.append(UInt8(ascii: "\""))
            bytes.append(decimal: entry.id)
            bytes.append(UInt8(ascii: "\""))
            return true
        case .updatedAt:
            instant(entry.state.updatedAt)
            return true
        case .createdAt where entry.state.changes[column.name] == nil:
            instant(entry.state.createdAt)
            return true
        case .merged:
            guard let value = value(column.name, of: entry) else { return false }
            bytes += JSONText.quoted(value)
            return true
        default: break
        }
        if !entry.state.changes.isEmpty, let change = entry.state.changes[column.name] {
            guard !change.isEmpty else { return false }
            bytes += JSONText.quoted(change)
            return true
        }
        guard let base = entry.base, case .seeded(let index) = column.source else { return false }
        return seeds.append(index, of: base, json: true, to: &bytes)
    }
}
