internal import Bytes
internal import CMongo

extension BSONDocument {
    func withC<R>(_ body: (hs_document) throws -> R) rethrows -> R { try bytes.withC(body) }

    /// Takes over what the driver allocated.
    init(taking reply: hs_reply) {
        self.init(bytes: Array(UnsafeBufferPointer(start: reply.data, count: Int(reply.length))))
        bson_free(reply.data)
    }
}

extension BSONDocument? {
    /// No document is one of length 0.
    func withC<R>(_ body: (hs_document) throws -> R) rethrows -> R {
        if let self { try self.withC(body) } else { try body(hs_document()) }
    }
}

extension [UInt8] {
    func withC<R>(_ body: (hs_document) throws -> R) rethrows -> R {
        try withUnsafeBufferPointer { try body(hs_document(data: $0.baseAddress, length: $0.count)) }
    }
}
