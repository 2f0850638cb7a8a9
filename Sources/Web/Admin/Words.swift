import Bytes
import Model

// How the pages say numbers, times and names.

extension Int {
    /// `1,234,567`
    var grouped: String {
        var text = String(magnitude)
        var index = text.endIndex
        while let place = text.index(index, offsetBy: -3, limitedBy: text.startIndex), place > text.startIndex {
            text.insert(",", at: place)
            index = place
        }
        return (self < 0 ? "-" : "") + text
    }

    /// `1 record`, `2 records`
    func of(_ singular: String, _ plural: String) -> String { "\(grouped) \(self == 1 ? singular : plural)" }
}

extension Timestamp {
    /// For a `<time>`: the instant, and UTC for who runs no script.
    var words: [String: Any] {
        let iso = iso8601
        return ["iso": iso, "text": "\(iso.prefix(10)) \(iso.dropFirst(11).prefix(8)) UTC"]
    }
}

extension Duration {
    /// `40 ms`, `2.5 s`, `3 min 20 s`, `4 h 10 min`, `3 d 2 h`
    var words: String {
        let ms = Swift.max(0, milliseconds)
        if ms < 1000 { return "\(ms) ms" }
        if ms < 10_000, ms % 1000 != 0 { return "\(ms / 1000).\(ms % 1000 / 100) s" }
        let s = ms / 1000
        if s < 60 { return "\(s) s" }
        if s < 3600 { return "\(s / 60) min" + (s % 60 == 0 ? "" : " \(s % 60) s") }
        if s < 86_400 { return "\(s / 3600) h" + (s / 60 % 60 == 0 ? "" : " \(s / 60 % 60) min") }
        return "\(s / 86_400) d" + (s / 3600 % 24 == 0 ? "" : " \(s / 3600 % 24) h")
    }
}

extension RecordKey {
    /// The record's page.
    var path: String { "/admin/records/\(type.rawValue)/\(id.formEncoded)" }
}

extension RecordType {
    /// What people call the record of this mirror document.
    func name(of document: BSONDocument) -> String {
        func text(_ field: String) -> String? { document[field]?.string.flatMap { $0.isEmpty ? nil : $0 } }
        let name: String? =
            switch self {
            case .contacts:
                [text("firstName"), text("lastName")].compactMap(\.self).joined(separator: " ").nonEmpty ?? text("email")
            case .companies: text("name") ?? text("domain")
            case .deals: text("dealName")
            }
        return name ?? "\(singular) \(document["_id"]?.string ?? "")"
    }

    /// One more line about it, for lists.
    func about(_ document: BSONDocument) -> String {
        let fields =
            switch self {
            case .contacts: ["email", "company", "jobTitle"]
            case .companies: ["domain", "city", "country"]
            case .deals: ["dealStage", "amount"]
            }
        return fields.compactMap { field -> String? in
            switch document[field] {
            case .string(let text): text.nonEmpty
            case .double(let number): Int(exactly: number)?.grouped ?? "\(number)"
            default: nil
            }
        }.joined(separator: " · ")
    }
}

extension SyncScope {
    /// As the buttons of the page call it.
    var title: String {
        let what =
            switch name {
            case "all": "everything"
            case "incremental": "changes"
            case "reconcile": "deletions and associations"
            default: name
            }
        return what + (limit.map { " (at most \($0.grouped)\(types.count > 1 ? " of each type" : ""))" } ?? "")
    }
}

extension SyncStatus {
    var level: String {
        switch self {
        case .synced: "good"
        case .pending: "warn"
        case .error: "bad"
        }
    }
}

extension String {
    var nonEmpty: String? { isEmpty ? nil : self }

    /// As the value of a query or a part of a path.
    var formEncoded: String {
        let hex = Array("0123456789ABCDEF".utf8)
        var encoded: [UInt8] = []
        for byte in utf8 {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
                UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "~"):
                encoded.append(byte)
            default: encoded += [UInt8(ascii: "%"), hex[Int(byte >> 4)], hex[Int(byte & 15)]]
            }
        }
        return String(decoding: encoded, as: UTF8.self)
    }
}
