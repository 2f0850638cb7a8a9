import Configuration
import FoundationEssentials
import Rules

/// Where the variables come from: the environment first, then the file given by `--config`, in the same names.
struct SettingsSource: Sendable {
    private let reader: ConfigReader

    /// - Parameter file: `NAME=value` lines; nil for the environment alone.
    /// - Throws: `Failure` when the file cannot be read.
    init(file: String?) throws {
        var providers: [any ConfigProvider] = [EnvironmentVariablesProvider()]
        if let file {
            guard let data = FileManager.default.contents(atPath: file) else {
                throw Failure("The configuration file \(file) cannot be read: check that it exists and that you may read it.")
            }
            let variables = SettingsSource.variables(in: String(decoding: data, as: UTF8.self))
            providers.append(EnvironmentVariablesProvider(environmentVariables: variables))
        }
        reader = ConfigReader(providers: providers)
    }

    /// The provider's own reading of a file takes one with Windows' line ends for a single line.
    private static func variables(in text: String) -> [String: String] {
        var variables: [String: String] = [:]
        for line in text.split(whereSeparator: { $0.isNewline }) {
            let parts = line.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map { $0.trimmed }
            if parts.count == 2, !parts[0].isEmpty, !parts[0].hasPrefix("#") { variables[parts[0]] = parts[1] }
        }
        return variables
    }

    /// For tests: these variables and nothing else.
    init(_ variables: [String: String]) {
        reader = ConfigReader(provider: EnvironmentVariablesProvider(environmentVariables: variables))
    }

    /// The variable's text without surrounding white space; nil when it is not set or empty.
    ///
    /// - Throws: `SettingsError` for several lines, which are never shown: secrets may stand in them.
    func text(_ name: String) throws -> String? {
        let key = ConfigKey(name.lowercased().split(separator: "_").map(String.init))
        guard let text = reader.string(forKey: key)?.trimmed, !text.isEmpty else { return nil }
        guard text.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7F }) else {
            throw SettingsError(name, "holds a line end or another control character: check where its value begins and ends")
        }
        return text
    }

    /// A secret: the variable itself, or the contents of the file that `NAME_FILE` names.
    func secret(_ name: String) throws -> String? {
        if let text = try text(name) { return text }
        guard let path = try text(name + "_FILE") else { return nil }
        guard let data = FileManager.default.contents(atPath: path) else {
            throw SettingsError(name + "_FILE", "names a file that cannot be read: \(path)")
        }
        let secret = String(decoding: data, as: UTF8.self).trimmed
        guard !secret.isEmpty else { throw SettingsError(name + "_FILE", "names an empty file: \(path)") }
        return secret
    }

    /// The secrets that sign webhooks. HubSpot signs with the first.
    func clientSecrets() throws -> [String] {
        (try secret("HUBSPOT_CLIENT_SECRET") ?? "").split(separator: ",").map { $0.trimmed }.filter { !$0.isEmpty }
    }

    func value<Value>(_ name: String, _ expected: String, _ parse: (String) -> Value?) throws -> Value? {
        guard let text = try text(name) else { return nil }
        guard let value = parse(text) else { throw SettingsError(name, "is '\(text)', but must be \(expected)") }
        return value
    }

    func flag(_ name: String) throws -> Bool? {
        try value(name, "true or false") {
            switch $0.lowercased() {
            case "true", "1", "yes", "on": true
            case "false", "0", "no", "off": false
            default: nil
            }
        }
    }

    func duration(_ name: String, default defaultValue: Duration) throws -> Duration {
        try value(name, "a time such as 30s, 5m, 24h or 30d") { text in
            Duration(text: text).flatMap { $0 > .zero ? $0 : nil }
        } ?? defaultValue
    }

    /// A duration, or nil for `0`: off.
    func interval(_ name: String, default defaultValue: Duration) throws -> Duration? {
        let interval = try value(name, "a time such as 5m or 24h, or 0 for off") { Duration(text: $0) } ?? defaultValue
        return interval == .zero ? nil : interval
    }
}
