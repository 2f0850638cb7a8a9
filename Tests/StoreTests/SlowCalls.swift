import Mongo
import TestSupport

/// Calls that take 300 ms longer, as counts do where there are a million records.
struct SlowCalls: MongoCalls {
    static var database: MongoDatabase { ScratchDatabase.current.through(SlowCalls()) }

    func run<R: Sendable>(_ body: @Sendable @escaping () throws -> R) async throws -> R {
        try await Task.sleep(for: .milliseconds(300))
        return try body()
    }
}
