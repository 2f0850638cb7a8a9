import Foundation
import Testing

@testable import Web

@Suite struct ProcessFiguresTests {
    @Test func theKernelsLineIsRead() throws {
        let stat =
            "4242 (a ) (name) S 1 4242 4242 0 -1 4194560 2000 0 0 0 150 50 0 0 20 0 9 0 12345 104857600 2560 18446744073709551615 1 1 0"
        let figures = try #require(
            ProcessFigures(stat: stat, bootSeconds: 1_700_000_000, ticks: 100, pageBytes: 4096, openFiles: 7))
        #expect(figures.cpuSeconds == 2)
        #expect(figures.startSeconds == 1_700_000_123.45)
        #expect(figures.virtualBytes == 104_857_600)
        #expect(figures.residentBytes == 10_485_760)
        #expect(figures.openFiles == 7)
    }

    @Test(arguments: ["", "1 (x", "1 (x) S 1 2 3", "1 (x) " + Array(repeating: "?", count: 30).joined(separator: " ")])
    func anotherLineIsRefused(stat: String) {
        #expect(ProcessFigures(stat: stat, bootSeconds: 0, ticks: 100, pageBytes: 4096, openFiles: 0) == nil)
    }

    @Test func thisProcessHasPlausibleFigures() throws {
        let figures = try #require(ProcessFigures.now())
        #expect(figures.residentBytes > 1_000_000 && figures.residentBytes < figures.virtualBytes)
        #expect(figures.openFiles >= 3)
        #expect(figures.cpuSeconds > 0)
        #expect((Date().timeIntervalSince1970 - figures.startSeconds).magnitude < 3600)
    }
}
