/// Takes a message in parts, as they stand in memory: nothing is joined first.
protocol ByteSink: ~Copyable {
    borrowing func update(_ part: UnsafeRawBufferPointer)
}

extension ByteSink where Self: ~Copyable {
    borrowing func update(_ part: [UInt8]) { part.withUnsafeBytes { update($0) } }

    borrowing func update(_ part: String) {
        var part = part
        part.withUTF8 { update(UnsafeRawBufferPointer($0)) }
    }
}
