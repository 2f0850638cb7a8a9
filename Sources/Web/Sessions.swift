import Bytes
import Model
import NIOConcurrencyHelpers
import Signature

/// Session cookies of the admin page: an expiry and a random id, signed. Only those that were ended are remembered, by this instance; a
/// new secret ends all sessions.
struct Sessions: Sendable {
    static let cookieName = "hubspot_sync_session"
    static let lifetime: Duration = .seconds(12 * 3600)

    /// Ended sessions remembered; beyond it the one that would have lasted shortest is forgotten.
    private static let endedMax = 10_000

    private let authenticator: MessageAuthenticator
    private let ended = NIOLockedValueBox<[String: Timestamp]>([:])

    /// - Parameter secret: `SESSION_SECRET`; nil makes a random one, so that sessions end with the process.
    init(secret: String?) throws {
        authenticator = try MessageAuthenticator(key: secret.map { Array($0.utf8) } ?? SecureRandom.bytes(32))
    }

    func issue(at now: Timestamp) -> String {
        let text = "\((now + Sessions.lifetime).milliseconds).\(Base64.url.encode(SecureRandom.bytes(16)))"
        return text + "." + Base64.url.encode(authenticator.tag(for: Array(text.utf8)))
    }

    func isValid(_ cookie: String, at now: Timestamp) -> Bool {
        guard let session = session(of: cookie), session.expiry > now else { return false }
        return ended.withLockedValue { $0[session.name] == nil }
    }

    /// Makes the cookie worthless before its time.
    func end(_ cookie: String, at now: Timestamp) {
        guard let session = session(of: cookie), session.expiry > now else { return }
        ended.withLockedValue { ended in
            ended[session.name] = session.expiry
            guard ended.count > Sessions.endedMax else { return }
            ended = ended.filter { $0.value > now }
            if ended.count > Sessions.endedMax, let first = ended.min(by: { $0.value < $1.value })?.key { ended.removeValue(forKey: first) }
        }
    }

    /// nil for what was not issued with this secret.
    private func session(of cookie: String) -> (name: String, expiry: Timestamp)? {
        guard cookie.utf8.count < 200, let dot = cookie.lastIndex(of: "."),
            let tag = Base64.url.decode(String(cookie[cookie.index(after: dot)...]))
        else { return nil }
        let text = cookie[..<dot]
        guard authenticator.isValid(tag: tag, for: Array(text.utf8)) else { return nil }
        return text.split(separator: ".").first.flatMap { Int64($0) }.map { (String(text), Timestamp(milliseconds: $0)) }
    }
}
