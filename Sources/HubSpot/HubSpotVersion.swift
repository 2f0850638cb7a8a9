internal import Model

/// The version of HubSpot's API, which decides about the paths and nothing else.
///
/// - Source: platform page, sections 1.2 and 1.3.
public enum HubSpotVersion: Sendable, Equatable {
    /// `2026-09` and its like: `/crm/objects/2026-09/contacts`.
    case dated(String)
    /// `/crm/v3/objects/contacts`, with associations v4.
    case v3

    /// Reads `v3`, `2026-09` or `2027-03-beta`.
    public init?(_ text: String) {
        if text == "v3" {
            self = .v3
            return
        }
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        func isNumber(_ part: Substring, _ digits: Int) -> Bool {
            part.utf8.count == digits && part.utf8.allSatisfy { $0 >= 48 && $0 <= 57 }
        }
        guard parts.count == 2 || parts.count == 3 && parts[2] == "beta", isNumber(parts[0], 4), isNumber(parts[1], 2) else { return nil }
        self = .dated(text)
    }

    func objects(_ type: RecordType) -> String { crm("objects") + "/" + type.rawValue }
    func properties(_ type: RecordType) -> String { crm("properties") + "/" + type.rawValue }
    func pipelines(_ type: RecordType) -> String { crm("pipelines") + "/" + type.rawValue }
    var owners: String { crm("owners") }

    func associations(_ from: RecordType, _ to: RecordType) -> String {
        switch self {
        case .dated(let version): "/crm/associations/\(version)/\(from)/\(to)/batch/read"
        case .v3: "/crm/v4/associations/\(from)/\(to)/batch/read"
        }
    }

    var account: String {
        switch self {
        case .dated(let version): "/account-info/\(version)/details"
        case .v3: "/account-info/v3/details"
        }
    }

    private func crm(_ name: String) -> String {
        switch self {
        case .dated(let version): "/crm/\(name)/\(version)"
        case .v3: "/crm/v3/\(name)"
        }
    }
}

extension HubSpotVersion: CustomStringConvertible {
    public var description: String {
        switch self {
        case .dated(let version): version
        case .v3: "v3"
        }
    }
}
