internal import COpenSSL

/// An HMAC-SHA256 under way.
struct RunningMAC: ByteSink, ~Copyable {
    private let context: OpaquePointer

    /// - Parameter context: owned from here on.
    init(owning context: OpaquePointer) { self.context = context }

    deinit { EVP_MAC_CTX_free(context) }

    borrowing func update(_ part: UnsafeRawBufferPointer) {
        precondition(
            EVP_MAC_update(context, part.baseAddress?.assumingMemoryBound(to: UInt8.self), part.count) == 1, "HMAC failed")
    }

    consuming func finish() -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: 32) { buffer, count in
            precondition(EVP_MAC_final(context, buffer.baseAddress, &count, buffer.count) == 1, "HMAC failed")
        }
    }
}
