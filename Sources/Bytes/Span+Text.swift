#if canImport(Glibc)
    internal import Glibc
#else
    internal import Darwin
#endif

extension Span<UInt8> {
    /// Whether these are the text's bytes.
    public func equals(_ text: StaticString) -> Bool { equals(UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)) }

    func equals(_ text: UnsafeBufferPointer<UInt8>) -> Bool {
        count == text.count && withUnsafeBytes { $0.isEmpty || memcmp($0.baseAddress!, text.baseAddress!, $0.count) == 0 }
    }
}
