import Bytes
import TestSupport
import Testing

@Suite struct FingerprintTests {
    /// Stored in documents, so it must never change: another value would make every record look changed.
    @Test func itIsTheSameEverywhereAndAlways() {
        var fingerprint = Fingerprint()
        fingerprint.add("hubspot")
        fingerprint.add(Array(0...255))
        #expect(fingerprint.value == -1_869_981_144_856_852_543)
    }

    @Test func everyBitAndEveryBorderCounts() {
        var random = SeededRandom(state: 7)
        var seen: Set<Int64> = []
        var count = 0
        for length in 0...70 {
            let bytes = (0..<length).map { _ in UInt8.random(in: 0...255, using: &random) }
            seen.insert(value(bytes, []))
            count += 1
            for bit in 0..<(length * 8) {
                var other = bytes
                other[bit / 8] ^= 1 << (bit % 8)
                seen.insert(value(other, []))
            }
            count += length * 8
            if length > 0 {
                for cut in 0..<length { seen.insert(value(Array(bytes[..<cut]), Array(bytes[cut...]))) }
                count += length
            }
        }
        #expect(seen.count == count)
    }

    private func value(_ first: [UInt8], _ second: [UInt8]) -> Int64 {
        var fingerprint = Fingerprint()
        fingerprint.add(first)
        fingerprint.add(second)
        return fingerprint.value
    }
}
