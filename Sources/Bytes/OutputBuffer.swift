/// Memory of its own that is written front to back and grows. An array would look twice at every byte that it takes.
struct OutputBuffer: ~Copyable {
    private var storage: UnsafeMutableRawBufferPointer
    private(set) var count = 0

    init(capacity: Int) { storage = .allocate(byteCount: max(capacity, 16), alignment: 8) }

    deinit { storage.deallocate() }

    var array: [UInt8] { Array(written) }

    var written: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: storage[..<count]) }

    var start: UnsafeRawPointer { UnsafeRawPointer(storage.baseAddress.unsafelyUnwrapped) }

    mutating func removeAll() { count = 0 }

    mutating func truncate(to count: Int) { self.count = min(self.count, count) }

    // MARK: Appending

    @inline(__always) mutating func append(_ byte: UInt8) {
        reserve(1)
        end.storeBytes(of: byte, as: UInt8.self)
        count += 1
    }

    mutating func append(_ bytes: UnsafeRawBufferPointer) {
        guard let base = bytes.baseAddress else { return }
        reserve(bytes.count)
        end.copyMemory(from: base, byteCount: bytes.count)
        count += bytes.count
    }

    mutating func append(_ bytes: [UInt8]) { bytes.withUnsafeBytes { append($0) } }

    mutating func append(_ text: StaticString) { append(UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)) }

    mutating func append(utf8 text: String) {
        var text = text
        text.withUTF8 { append(UnsafeRawBufferPointer($0)) }
    }

    mutating func append<T: FixedWidthInteger & BitwiseCopyable>(littleEndian value: T) {
        reserve(MemoryLayout<T>.size)
        end.storeBytes(of: value.littleEndian, as: T.self)
        count += MemoryLayout<T>.size
    }

    mutating func patch(_ value: Int32, at offset: Int) {
        storage.storeBytes(of: value.littleEndian, toByteOffset: offset, as: Int32.self)
    }

    // MARK: Filling by hand

    /// Makes room for so many bytes at `end`; `advance` takes those that were filled.
    @inline(__always) mutating func reserve(_ more: Int) {
        if count + more > storage.count { grow(by: more) }
    }

    @inline(never) private mutating func grow(by more: Int) {
        let larger = UnsafeMutableRawBufferPointer.allocate(byteCount: max(count + more, storage.count * 2), alignment: 8)
        larger.copyMemory(from: UnsafeRawBufferPointer(rebasing: storage[..<count]))
        storage.deallocate()
        storage = larger
    }

    /// The memory is never empty.
    @inline(__always) var end: UnsafeMutableRawPointer { storage.baseAddress.unsafelyUnwrapped + count }

    mutating func advance(by bytes: Int) { count += bytes }
}
