internal import COpenSSL

/// HMAC-SHA256 under one key: signs what others keep for us, such as a session cookie, and tells ours from theirs.
///
/// The key is prepared once: a tag of 1.5 KB costs 1.6 µs instead of 2.6.
public struct MessageAuthenticator: Sendable {
    /// Owns the keyed context, from which each message takes a copy.
    private final class Key: @unchecked Sendable {  // the context is only read after `init`: copying it changes nothing in it
        let context: OpaquePointer

        init(_ key: [UInt8]) throws(SignatureError) {
            guard !key.isEmpty else { throw SignatureError(kind: .noSecret) }
            guard let context = hs_hmac_sha256_new(key, key.count) else { throw SignatureError(kind: .unavailable) }
            self.context = context
        }

        deinit { EVP_MAC_CTX_free(context) }
    }

    private let key: Key

    /// - Parameter key: 32 random bytes serve best; a longer or shorter text that nobody can guess serves too.
    public init(key: [UInt8]) throws(SignatureError) { self.key = try Key(key) }

    /// 32 bytes that only a holder of the key can make.
    public func tag(for message: [UInt8]) -> [UInt8] {
        let mac = begin()
        mac.update(message)
        return mac.finish()
    }

    /// Takes equally long for every wrong tag.
    public func isValid(tag: [UInt8], for message: [UInt8]) -> Bool {
        constantTimeEquals(tag, self.tag(for: message))
    }

    func begin() -> RunningMAC {
        guard let copy = EVP_MAC_CTX_dup(key.context) else { fatalError("no memory for an HMAC") }
        return RunningMAC(owning: copy)
    }
}
