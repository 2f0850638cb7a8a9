#if canImport(Glibc)
    internal import Glibc
#else
    internal import Darwin
#endif

extension Span<UInt8> {
    /// Whether these are the text's bytes.
    public func equals(_ text: StaticString) -> Bool {
        count == text.utf8CodeUnitCount && withUnsafeBytes { $0.isEmpty || memcmp($0.baseAddress!, text.utf8Start, $0.count) == 0 }
    }
}
