internal import COpenSSL

/// A SHA-256 under way.
struct RunningDigest: ByteSink, ~Copyable {
    private let context: OpaquePointer

    init() {
        guard let context = EVP_MD_CTX_new(), EVP_DigestInit_ex(context, EVP_sha256(), nil) == 1 else {
            fatalError("OpenSSL offers no SHA-256")  // only without memory: a verifier is not made without HMAC-SHA256
        }
        self.context = context
    }

    deinit { EVP_MD_CTX_free(context) }

    borrowing func update(_ part: UnsafeRawBufferPointer) {
        precondition(EVP_DigestUpdate(context, part.baseAddress, part.count) == 1, "SHA-256 failed")
    }

    consuming func finish() -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: 32) { buffer, count in
            precondition(EVP_DigestFinal_ex(context, buffer.baseAddress, nil) == 1, "SHA-256 failed")
            count = 32
        }
    }
}
