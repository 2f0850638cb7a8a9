import Model
import Store
import TestSupport
import Testing
import Logging

@Suite(.scratchDatabase, .timeLimit(.minutes(1))) struct ScheduleStoreTests {
    private var schedule: ScheduleStore { Store(database: ScratchDatabase.current, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }).schedule }
    private let start = Timestamp(milliseconds: 4_000_000_000_000)

    @Test func ofManyOneGetsTheLease() async throws {
        let taken = try await withThrowingTaskGroup(of: Bool.self) { [schedule, start] group in
            for index in 0..<8 {
                group.addTask { try await schedule.lease("work", holder: "\(index)", at: start, until: start + .seconds(30)) }
            }
            return try await group.reduce(into: 0) { $0 += $1 ? 1 : 0 }
        }
        #expect(taken == 1)
    }

    @Test func aLeaseIsKeptGivenBackAndLost() async throws {
        func lease(_ holder: String, after: Int) async throws -> Bool {
            try await schedule.lease("work", holder: holder, at: start + .seconds(after), until: start + .seconds(after + 30))
        }
        #expect(try await lease("a", after: 0))
        #expect(try await lease("b", after: 29) == false)
        #expect(try await schedule.extend("work", holder: "a", until: start + .seconds(59)))
        #expect(try await lease("b", after: 58) == false)
        // Dead: its lease ends, and what it says afterwards counts no more.
        #expect(try await lease("b", after: 60))
        #expect(try await schedule.extend("work", holder: "a", until: start + .seconds(1000)) == false)
        try await schedule.end("work", holder: "a", at: start + .seconds(61), nextAt: start)
        #expect(try await lease("c", after: 62) == false)
        try await schedule.end("work", holder: "b", at: start + .seconds(63), nextAt: start + .seconds(100))
        #expect(try await lease("c", after: 99) == false)
        #expect(try await lease("c", after: 100))
    }

    @Test func hasteDoesNotDisturbWhoIsAtItNorRepeatWhatWasJustDone() async throws {
        let at = start + .seconds(10)
        #expect(try await schedule.lease("work", holder: "a", at: start, until: start + .seconds(30)))
        try await schedule.hasten("work", at: at, unlessSince: at)
        #expect(try await schedule.lease("work", holder: "b", at: at, until: at + .seconds(30)) == false)
        try await schedule.end("work", holder: "a", at: at, nextAt: at + .seconds(3600))
        try await schedule.hasten("work", at: at + .seconds(5), unlessSince: at - .seconds(55))
        #expect(try await schedule.lease("work", holder: "b", at: at + .seconds(5), until: at + .seconds(35)) == false)
        try await schedule.hasten("work", at: at + .seconds(61), unlessSince: at + .seconds(1))
        #expect(try await schedule.lease("work", holder: "b", at: at + .seconds(61), until: at + .seconds(91)))
    }
}
