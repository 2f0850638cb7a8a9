import Configuration
import FoundationEssentials
import Rules
import SystemPackage

/// Where the variables come from: the environment first, then the file given by `--config`, in the same names.
struct SettingsSource: Sendable {
    private let reader: ConfigReader

    /// - Parameter file: `NAME=value` lines; nil for the environment alone.
    /// - Throws: `Failure` when the file cannot be read.
    init(file: String?) async throws {
        var providers: [any ConfigProvider] = [EnvironmentVariablesProvider()]
        if let file {
            do {
                providers.append(try await EnvironmentVariablesProvider(environmentFilePath: FilePath(file)))
            } catch {
                throw Failure("The configuration file \(file) cannot be read: check that it exists and that you may read it.")
            }
        }
        reader = ConfigReader(providers: providers)
    }

    /// For tests: these variables and nothing else.
    init(_ variables: [String: String]) {
        reader = ConfigReader(provider: EnvironmentVariablesProvider(environmentVariables: variables))
    }

    /// The variable's text without surrounding white space; nil when it is not set or empty.
    func text(_ name: String) throws -> String? {
        let key = ConfigKey(name.lowercased().split(separator: "_").map(String.init))
        guard let text = reader.string(forKey: key)?.trimmed, !text.isEmpty else { return nil }
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
