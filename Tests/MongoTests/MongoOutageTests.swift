import Bytes
import Mongo
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(2))) struct MongoOutageTests {
    @Test func aServerThatStopsIsUnreachableAndItsReturnIsNoticed() async throws {
        let server = try await MongoServer.start()
        let database = try MongoDatabase(
            MongoSettings(uri: server.uri("outage", options: "&serverSelectionTimeoutMS=300"), threads: 2))
        try await database.run { _ = try $0.insert([BSONDocument([("_id", 1)]).bytes], into: "rows") }

        await server.stop()
        for _ in 0..<3 {
            let read = await #expect(throws: MongoError.self) { try await database.run { try $0.count(in: "rows") } }
            #expect(read?.kind == .unreachable)
            let write = await #expect(throws: MongoError.self) {
                try await database.run { _ = try $0.insert([BSONDocument([("_id", 2)]).bytes], into: "rows") }
            }
            #expect(write?.kind == .unreachable)
        }

        try await server.resume()
        #expect(try await returned(database) == 1)
        await server.stop()
        await database.shutDown()
    }

    /// What was acknowledged before `kill -9` is there after it.
    @Test func acknowledgedWritesSurviveKill() async throws {
        let server = try await MongoServer.start()
        let database = try MongoDatabase(
            MongoSettings(uri: server.uri("outage", options: "&serverSelectionTimeoutMS=300"), threads: 2))
        for round in 0..<3 {
            for number in 0..<20 {
                try await database.run { _ = try $0.insert([BSONDocument([("_id", .int32(Int32(round * 100 + number)))]).bytes], into: "rows") }
            }
            await server.kill()
            try await server.resume()
            #expect(try await returned(database) == (round + 1) * 20)
        }
        await server.stop()
        await database.shutDown()
    }

    /// What a failover makes of calls that are under way: to be waited out and repeated, never a record's own failure. On a server of its
    /// own, which has one fail point of a kind.
    @Test func whatAFailoverInterruptsIsUnreachable() async throws {
        let server = try await MongoServer.start()
        for code: Int32 in [6, 43, 91, 133, 134, 175, 189, 237, 10107, 11600, 11601, 11602, 13435, 13436] {
            // Each on new connections: the driver takes the server's word that it is no primary. Without another try, to see the code.
            let database = try MongoDatabase(MongoSettings(uri: server.uri("outage", options: "&retryReads=false"), threads: 1))
            let error = await #expect(throws: MongoError.self) {
                try await database.run { client in
                    _ = try client.command(
                        [
                            "configureFailPoint": "failCommand", "mode": ["times": 1],
                            "data": ["failCommands": ["find"], "errorCode": .int32(code)],
                        ], on: "admin")
                    _ = try client.findOne(MongoQuery(["_id": 1]), in: "rows")
                }
            }
            #expect(error?.kind == .unreachable && error?.code == UInt32(code), "\(code): \(String(describing: error))")
            await database.shutDown()
        }
        await server.kill()
    }

    /// The driver looks for the primary at most every half second: asks until it has found it.
    private func returned(_ database: MongoDatabase) async throws -> Int {
        for _ in 0..<100 {
            do { return try await database.run { try $0.count(in: "rows") } } catch let error as MongoError where error.kind == .unreachable {
                continue  // each try waits for the server selection's own time
            }
        }
        return try await database.run { try $0.count(in: "rows") }
    }

    @Test func aServerThatWasNeverThereIsUnreachable() async throws {
        let database = try MongoDatabase(
            MongoSettings(uri: "mongodb://root:hunter2@127.0.0.1:1/nothing?serverSelectionTimeoutMS=200", threads: 1))
        let error = await #expect(throws: MongoError.self) { try await database.run { try $0.command(["ping": 1]) } }
        #expect(error?.kind == .unreachable)
        #expect(error?.message.contains("hunter2") == false)
        #expect(database.hosts == "127.0.0.1:1")
        await database.shutDown()
    }

    @Test(arguments: [
        "", "localhost", "http://user:hunter2@localhost/x", "mongodb://user:hunter2@", "mongodb://user:hun/ter2@localhost:27017/x",
        "mongodb://user:hunter2@localhost:99999/x", "mongodb://user:hunter2@localhost:27017", "mongodb://user:hunter2@localhost:27017/",
        "mongodb://user:hunter2@localhost/x?tls=true&tlsInsecure=true&tlsAllowInvalidCertificates=true",
        "mongodb://user:hunter2@[::1/x", "mongodb://user:hunter2@localhost/x?authMechanism=SCRAM-SHA-512",
    ]) func aBadURIIsRefusedWithoutItsCredentials(uri: String) {
        let error = #expect(throws: MongoError.self) { try MongoDatabase(MongoSettings(uri: uri)) }
        #expect(error?.kind == .settings)
        #expect(error?.message.contains("hun") == false)
    }
}
