import Bytes
import Model

/// Records as JSON bytes, without a tree in between.
extension Shelf {
    /// Appends one record as the object API shows it.
    func append(
        _ entry: Entry, _ view: RecordView, portal: [UInt8], associations: (inout [UInt8]) -> Void = { _ in },
        to bytes: inout [UInt8]
    ) {
        let state = entry.state
        bytes += #"{"id":""#.utf8
        bytes.append(decimal: entry.id)
        bytes += #"","properties":{"#.utf8
        let start = entry.base.map { seeds.start(of: $0) } ?? 0
        view.text.withUnsafeBufferPointer { text in
            func key(_ column: RecordView.Column, isFirst: Bool) {
                bytes.append(contentsOf: text[(column.range.lowerBound + (isFirst ? 1 : 0))..<column.range.upperBound - 4])
            }
            for (place, column) in view.columns.enumerated() {
                key(column, isFirst: place == 0)
                if !appendValue(column, view, entry, start, to: &bytes) { bytes.append(contentsOf: text[column.range.suffix(4)]) }
            }
            bytes.append(UInt8(ascii: "}"))
            guard !view.history.isEmpty else { return }
            bytes += #","propertiesWithHistory":{"#.utf8
            for (place, column) in view.history.enumerated() {
                key(column, isFirst: place == 0)
                bytes += #"[{"value":"#.utf8
                if !appendValue(column, view, entry, start, to: &bytes) { bytes += #""""#.utf8 }
                bytes += #","timestamp":""#.utf8
                Instant.append(state.changes[view.names[column.place]] == nil ? state.createdAt : state.updatedAt, to: &bytes)
                bytes +=
                    #"","sourceType":"CRM_UI","sourceId":"userId:52530071","sourceLabel":null,"updatedByUserId":52530071}]"#.utf8
            }
            bytes.append(UInt8(ascii: "}"))
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
    private func appendValue(
        _ column: RecordView.Column, _ view: RecordView, _ entry: Entry, _ start: Int, to bytes: inout [UInt8]
    ) -> Bool {
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
        case .createdAt where entry.state.changes[view.names[column.place]] == nil:
            instant(entry.state.createdAt)
            return true
        case .merged:
            guard let value = value(view.names[column.place], of: entry) else { return false }
            bytes += JSONText.quoted(value)
            return true
        default: break
        }
        if !entry.state.changes.isEmpty, let change = entry.state.changes[view.names[column.place]] {
            guard !change.isEmpty else { return false }
            bytes += JSONText.quoted(change)
            return true
        }
        guard let base = entry.base, case .seeded(let index) = column.source else { return false }
        return seeds.append(index, of: base, start: start, json: true, to: &bytes)
    }
}
