import Bytes
import Foundation
import Mongo

/// A genuine MongoDB of the tests' own: a replica set of one member or more on free loopback ports, which ends with this process.
public actor MongoServer {
    /// The server that all tests of the process share; started by the first that asks.
    public static var shared: MongoServer {
        get async throws { try await sharedStart.value }
    }

    private static let sharedStart = Task { try await MongoServer.start() }

    public struct Failure: Error, CustomStringConvertible {
        public let description: String
    }

    let members: [MongoMember]

    private init(members: [MongoMember]) { self.members = members }

    /// Starts one of the caller's own, which it may stop, kill and start again on the same ports and data.
    ///
    /// - Parameter members: with more than one, another becomes primary within two seconds or so when the primary is gone.
    public static func start(members count: Int = 1) async throws -> MongoServer {
        let options = count == 1 ? ["--wiredTigerCacheSizeGB", "0.5"] : ["--wiredTigerCacheSizeGB", "0.25", "--oplogSize", "200"]
        let members = try (0..<count).map { _ in try MongoMember(options: options) }
        let server = MongoServer(members: members)
        for member in members { try await member.start() }
        let hosts = members.enumerated().map { index, member in
            BSONValue.document(["_id": .int32(Int32(index)), "host": .string("127.0.0.1:\(member.port)")])
        }
        try await server.becomeReady {
            // All must listen before one of them makes them a set.
            for member in members { try await MongoServer.command(["ping": 1], at: member.uri + "&serverSelectionTimeoutMS=60000") }
            try await MongoServer.command(
                [
                    "replSetInitiate": [
                        "_id": "rs0", "members": .array(hosts), "settings": ["electionTimeoutMillis": 1000, "heartbeatIntervalMillis": 250],
                    ]
                ], at: members[0].uri + "&serverSelectionTimeoutMS=60000")
        }
        if count > 1 { try await server.becomeWhole() }
        return server
    }

    public nonisolated func uri(_ database: String, options: String = "") -> String {
        let hosts = members.map { "127.0.0.1:\($0.port)" }.joined(separator: ",")
        return "mongodb://\(hosts)/\(database)?replicaSet=rs0\(options)"
    }

    /// Of the first member.
    public nonisolated var port: UInt16 { members[0].port }

    /// Starts the stopped server again and waits until it has a primary.
    public func resume() async throws {
        for member in members { try await member.start() }
        try await becomeReady()
    }

    /// Ends the server as an operator would, and waits for its end. The data stay.
    public func stop() async { for member in members { await member.end(.stopped) } }

    /// Ends the server as a power cut would. The data stay as they are on disk.
    public func kill() async { for member in members { await member.end(.killed) } }

    private func becomeReady(_ first: () async throws -> Void = {}) async throws {
        do {
            try await first()
            // Looking for a primary is the wait: the driver goes on when a server says that it is one.
            try await MongoServer.command(["ping": 1], at: uri("admin", options: "&serverSelectionTimeoutMS=60000"))
        } catch {
            throw Failure(description: "mongod did not start: \(error)\n\(await members[0].log)")
        }
    }

    @discardableResult
    static func command(_ command: BSONDocument, at uri: String) async throws -> BSONDocument {
        let database = try MongoDatabase(MongoSettings(uri: uri, threads: 1))
        do {
            let reply = try await database.run { try $0.command(command) }
            await database.shutDown()
            return reply
        } catch {
            await database.shutDown()
            throw error
        }
    }
}
