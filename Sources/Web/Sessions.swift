import Bytes
import Model
import Signature

/// Session cookies of the admin page: an expiry and a random id, signed. Nothing is stored; a new secret ends all sessions.
struct Sessions: Sendable {
    static let cookieName = "hubspot_sync_session"
    static let lifetime: Duration = .seconds(12 * 3600)

    private let authenticator: MessageAuthenticator

    /// - Parameter secret: `SESSION_SECRET`; nil makes a random one, so that sessions end with the process.
    init(secret: String?) throws {
        authenticator = try MessageAuthenticator(key: secret.map { Array($0.utf8) } ?? SecureRandom.bytes(32))
    }

    func issue(at now: Timestamp) -> String {
        let text = "\((now + Sessions.lifetime).milliseconds).\(Base64.url.encode(SecureRandom.bytes(16)))"
        return text + "." + Base64.url.encode(authenticator.tag(for: Array(text.utf8)))
    }

    func isValid(_ cookie: String, at now: Timestamp) -> Bool {
        guard cookie.utf8.count < 200, let dot = cookie.lastIndex(of: "."),
            let tag = Base64.url.decode(cookie[cookie.index(after: dot)...].utf8)
        else { return false }
        let text = cookie[..<dot]
        guard authenticator.isValid(tag: tag, for: Array(text.utf8)),
            let expiry = text.split(separator: ".").first.flatMap({ Int64($0) })
        else { return false }
        return Timestamp(milliseconds: expiry) > now
    }
}
