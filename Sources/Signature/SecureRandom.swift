internal import COpenSSL

/// Randomness that nobody can predict, for keys, session ids and API keys.
public enum SecureRandom {
    /// Traps when the system has no randomness: nothing made without it would be safe to use.
    public static func bytes(_ count: Int) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
            precondition(RAND_bytes(buffer.baseAddress, Int32(count)) == 1, "the system has no randomness")
            initialized = count
        }
    }
}
