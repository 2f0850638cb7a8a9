import FoundationEssentials
import HubSpot
import Logging
import Model
import Rules
import Signature
import Web

/// The configuration of the service, read and checked. Names and defaults are those of the contract, section 2.
struct Settings: Sendable {
    let host: String
    let port: Int
    let mongodbURI: String
    let hubspot: HubSpotSettings
    /// Empty: no webhook can be verified, and all are refused.
    let clientSecrets: [String]
    let webhookURL: String?
    let signatureVersions: Set<SignatureVersion>
    /// Names this instance in MongoDB; the same after a restart.
    let instanceName: String
    let trustsProxy: Bool
    let webhookBodyMax: Int
    let connections: ConnectionLimits
    /// nil: nobody can log in.
    let adminKey: String?
    let sessionSecret: String?
    let concurrency: Int
    /// nil: off.
    let incrementalInterval: Duration?
    let reconcileInterval: Duration?
    let fullInterval: Duration?
    /// nil: off.
    let verifyInterval: Duration?
    let staleAfter: Duration
    let eventRetention: Duration
    let logLevel: Logger.Level
    let logFormat: LogFormat

    var intervals: [(scope: SyncScope, every: Duration)] {
        [(SyncScope.incremental, incrementalInterval), (.reconcile, reconcileInterval), (.all(), fullInterval)].compactMap { scope, every in every.map { (scope, $0) } }
    }

    enum LogFormat: String { case text, json }

    /// - Throws: `SettingsError` for the first variable that is missing or bad.
    init(_ source: SettingsSource) throws {
        host = try source.text("HOST") ?? "127.0.0.1"
        port = try source.value("PORT", "a port number, 0 to 65535") { Int($0).flatMap { (0...65_535).contains($0) ? $0 : nil } } ?? 3002
        mongodbURI = try source.secret("MONGODB_URI") ?? "mongodb://127.0.0.1:27017/hubspot_sync"
        hubspot = try HubSpotSettings(source)
        clientSecrets = try source.clientSecrets()
        webhookURL = try source.value("HUBSPOT_WEBHOOK_URL", "an http or https URL") { $0.isHTTPURL ? $0 : nil }
        signatureVersions = try source.value("HUBSPOT_SIGNATURE_VERSIONS", "some of v1, v2, v3, separated by commas") { text in
            let versions = text.lowercased().split(separator: ",").map { SignatureVersion(rawValue: $0.trimmed) }
            return versions.isEmpty || versions.contains(nil) ? nil : Set(versions.compactMap(\.self))
        } ?? Set(SignatureVersion.allCases)
        instanceName = "\(ProcessInfo.processInfo.hostName):\(port)"
        trustsProxy = try source.flag("TRUST_PROXY") ?? false
        webhookBodyMax = try source.value("WEBHOOK_MAX_BODY", "a size such as 16MB") { ByteCount($0)?.bytes } ?? 16 << 20
        connections = try ConnectionLimits(source)
        adminKey = try source.secret("ADMIN_API_KEY")
        sessionSecret = try source.secret("SESSION_SECRET")
        concurrency = try source.value("SYNC_CONCURRENCY", "a number from 1 to 256") {
            Int($0).flatMap { (1...256).contains($0) ? $0 : nil }
        } ?? 8
        incrementalInterval = try source.interval("INCREMENTAL_SYNC_INTERVAL", default: .seconds(300))
        reconcileInterval = try source.interval("RECONCILE_INTERVAL", default: .seconds(6 * 3600))
        fullInterval = try source.interval("FULL_SYNC_INTERVAL", default: .seconds(86_400))
        verifyInterval = try source.interval("VERIFY_INTERVAL", default: .seconds(86_400))
        staleAfter = try source.duration("STALE_AFTER", default: .seconds(86_400))
        eventRetention = try source.duration("EVENT_RETENTION", default: .seconds(30 * 86_400))
        logLevel = try source.value("LOG_LEVEL", "one of trace, debug, info, notice, warning, error, critical") {
            Logger.Level(rawValue: $0.lowercased())
        } ?? .info
        logFormat = try source.value("LOG_FORMAT", "text or json") { LogFormat(rawValue: $0.lowercased()) } ?? .text
        if adminKey == nil, !host.isLoopback {
            throw SettingsError(
                "ADMIN_API_KEY", "is missing: set it to a long random text before listening on \(host), which others can reach")
        }
        if let adminKey, adminKey.utf8.count < 8 {
            throw SettingsError("ADMIN_API_KEY", "is too short: use at least 8 characters, better 32 random ones")
        }
    }
}

extension HubSpotSettings {
    init(_ source: SettingsSource) throws {
        guard let token = try source.secret("HUBSPOT_ACCESS_TOKEN") else {
            throw SettingsError(
                "HUBSPOT_ACCESS_TOKEN", "is missing: set it to the token of a HubSpot service key or private app (or HUBSPOT_ACCESS_TOKEN_FILE to a file that holds it)")
        }
        guard token.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else {
            throw SettingsError("HUBSPOT_ACCESS_TOKEN", "holds a space or another character that no token has")
        }
        let baseURL = try source.value("HUBSPOT_API_BASE_URL", "an http or https URL") { $0.isHTTPURL ? $0 : nil }
        let version = try source.value("HUBSPOT_API_VERSION", "a dated version such as 2026-09, or v3") { HubSpotVersion($0) }
        let rateLimit = try source.value("HUBSPOT_RATE_LIMIT", "calls per time such as 190/10s") { RateLimit($0) }
        let searchRateLimit = try source.value("HUBSPOT_SEARCH_RATE_LIMIT", "calls per time such as 5/1s") { RateLimit($0) }
        self.init(
            baseURL: baseURL ?? "https://api.hubapi.com", accessToken: token, version: version ?? .dated("2026-09"),
            rateLimit: rateLimit ?? RateLimit(calls: 100, interval: .seconds(10)),
            searchRateLimit: searchRateLimit ?? RateLimit(calls: 5, interval: .seconds(1)))
    }
}

extension ConnectionLimits {
    init(_ source: SettingsSource) throws {
        self.init()
        connectionsMax = try source.value("MAX_CONNECTIONS", "a number from 16 to 1000000") {
            Int($0).flatMap { (16...1_000_000).contains($0) ? $0 : nil }
        } ?? connectionsMax
        idleTime = try source.duration("IDLE_TIMEOUT", default: idleTime)
        requestTime = try source.duration("REQUEST_TIMEOUT", default: requestTime)
        headMax = try source.value("REQUEST_MAX_HEAD", "a size from 4KB to 1MB") {
            ByteCount($0).flatMap { (4 << 10...1 << 20).contains($0.bytes) ? $0.bytes : nil }
        } ?? headMax
    }
}

/// A variable that is missing or bad, with what to do.
struct SettingsError: Error, CustomStringConvertible {
    let description: String

    init(_ name: String, _ problem: String) { description = "\(name) \(problem)" }
}

/// `16MB`, `512KB`, `1048576`.
struct ByteCount {
    let bytes: Int

    init?(_ text: String) {
        let units: [(String, Int)] = [("GB", 1 << 30), ("MB", 1 << 20), ("KB", 1 << 10), ("B", 1), ("", 1)]
        let upper = text.uppercased()
        guard let (suffix, factor) = units.first(where: { upper.hasSuffix($0.0) }),
            let count = Int(upper.dropLast(suffix.count).trimmed), count > 0, count <= Int.max / factor
        else { return nil }
        bytes = count * factor
    }
}

extension StringProtocol {
    var trimmed: String {
        var text = Substring(self)
        while let first = text.first, first.isWhitespace { text.removeFirst() }
        while let last = text.last, last.isWhitespace { text.removeLast() }
        return String(text)
    }

    var isHTTPURL: Bool {
        let lower = lowercased()
        guard let scheme = ["https://", "http://"].first(where: { lower.hasPrefix($0) }) else { return false }
        return lower.count > scheme.count && !contains(where: { $0.isWhitespace })
    }

    var isLoopback: Bool { self == "localhost" || self == "::1" || self == "[::1]" || hasPrefix("127.") }
}
