import Bytes
import Foundation
public import Mongo
public import Testing

/// Lends each test, and each case of it, a database of its own on the shared server, and drops it after.
public struct ScratchDatabase: TestTrait, SuiteTrait, TestScoping {
    @TaskLocal private static var lent: MongoDatabase?

    /// The database of the running test.
    public static var current: MongoDatabase {
        guard let lent else { preconditionFailure("the test has no .scratchDatabase trait") }
        return lent
    }

    /// All tests' databases share these connections.
    private static let server = Task {
        let server = try await MongoServer.shared
        return try MongoDatabase(MongoSettings(uri: server.uri("scratch"), threads: 8))
    }

    public var isRecursive: Bool { true }

    public func provideScope(
        for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void
    ) async throws {
        guard testCase != nil else { return try await function() }
        let server = try await ScratchDatabase.server.value
        precondition(server.hosts.hasPrefix("127.0.0.1:"), "tests drop databases: only on loopback")
        let database = server.database(named: "scratch_\(UUID().uuidString.prefix(8))")
        let result: Result<Void, any Error>
        do {
            try await ScratchDatabase.$lent.withValue(database, operation: function)
            result = .success(())
        } catch {
            result = .failure(error)
        }
        _ = try await database.run { try $0.command(["dropDatabase": 1]) }
        try result.get()
    }
}

extension Trait where Self == ScratchDatabase {
    /// A database for each test case, as `ScratchDatabase.current`.
    public static var scratchDatabase: ScratchDatabase { ScratchDatabase() }
}
