import Logging
import Model
import Mongo
import NIOConcurrencyHelpers
import Store
@testable import Sync
import TestSupport
import Testing

@Suite(.scratchDatabase) struct PatienceTests {
    /// What MongoDB cannot do now, or has done without saying so, is done again.
    @Test(arguments: [MongoError.Kind.unreachable, .timedOut]) func whatPassesIsWaitedOut(kind: MongoError.Kind) async throws {
        let answers = LostAnswers(count: 3, kind: kind)
        let writer = writer(answers)
        let records = (1...5).map { Record.sample(.contacts, id: "\($0)") }
        let outcome = try await writer.writePatiently(records, of: .contacts, readAt: .now)
        #expect(outcome.failures.isEmpty && answers.left == 0)
        #expect(try await ScratchDatabase.current.run { try $0.count(in: "contacts") } == 5)
    }

    @Test func whatDoesNotPassEndsAtOnce() async throws {
        let answers = LostAnswers(count: 3, kind: .unauthorized)
        let writer = writer(answers)
        let error = await #expect(throws: MongoError.self) { try await writer.writePatiently([.sample(.contacts, id: "1")], of: .contacts, readAt: .now) }
        #expect(error?.kind == .unauthorized && answers.left == 2)
    }

    private func writer(_ answers: LostAnswers) -> MirrorWriter {
        Store(database: ScratchDatabase.current.through(answers), logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }).writer
    }
}

/// The genuine MongoDB, whose first answers do not arrive.
private final class LostAnswers: MongoCalls {
    private let kind: MongoError.Kind
    private let remaining: NIOLockedValueBox<Int>

    init(count: Int, kind: MongoError.Kind) {
        self.kind = kind
        remaining = NIOLockedValueBox(count)
    }

    var left: Int { remaining.withLockedValue { $0 } }

    func run<R: Sendable>(_ body: @Sendable @escaping () throws -> R) async throws -> R { try body() }

    func didSend() throws(MongoError) {
        let isLost = remaining.withLockedValue { left in
            defer { left = max(0, left - 1) }
            return left > 0
        }
        if isLost { throw MongoError(kind, message: "the answer was lost") }
    }
}
