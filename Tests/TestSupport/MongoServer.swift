import Bytes
import Foundation
import Mongo

/// A genuine `mongod` of the tests' own: a one-member replica set on a free loopback port, with a data folder of its own.
///
/// A watcher beside it reads a pipe whose other end only this process holds. However this process ends, the pipe ends with it, and the
/// watcher kills the server and removes its data. Nothing is left running.
public actor MongoServer {
    /// The server that all tests of the process share; started by the first that asks.
    public static var shared: MongoServer {
        get async throws { try await sharedStart.value }
    }

    private static let sharedStart = Task { try await MongoServer.start() }

    public struct Failure: Error, CustomStringConvertible {
        public let description: String
    }

    public nonisolated let port: UInt16
    private let folder: URL
    private var shell: Shell?

    private init(port: UInt16, folder: URL) {
        self.port = port
        self.folder = folder
    }

    deinit {
        // The watcher of a server that runs removes its data; of one that was stopped, only this is left.
        if shell == nil { try? FileManager.default.removeItem(at: folder) }
    }

    /// Starts one of the caller's own, which it may stop, kill and start again on the same port and data.
    public static func start() async throws -> MongoServer {
        _ = try mongod()
        let folder = FileManager.default.temporaryDirectory.appending(path: "hubspot-sync-mongod-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        let server = MongoServer(port: try freePort(), folder: folder)
        try await server.resume()
        return server
    }

    public nonisolated func uri(_ database: String, options: String = "") -> String {
        "mongodb://127.0.0.1:\(port)/\(database)?replicaSet=rs0\(options)"
    }

    /// Starts the stopped server again and waits until it is primary.
    public func resume() async throws {
        precondition(shell == nil, "the server runs")
        let mongod = try MongoServer.mongod()
        let isNew = try FileManager.default.contentsOfDirectory(atPath: folder.path).isEmpty
        shell = try Shell(
            [
                mongod, "--dbpath", folder.path, "--port", String(port), "--bind_ip", "127.0.0.1", "--replSet", "rs0",
                "--wiredTigerCacheSizeGB", "0.5", "--setParameter", "enableTestCommands=1", "--setParameter",
                "diagnosticDataCollectionEnabled=false", "--nounixsocket", "--quiet",
            ], folder: folder)
        do {
            if isNew {
                try await MongoServer.command(
                    ["replSetInitiate": ["_id": "rs0", "members": [["_id": 0, "host": .string("127.0.0.1:\(port)")]]]],
                    at: "mongodb://127.0.0.1:\(port)/admin?directConnection=true&serverSelectionTimeoutMS=60000")
            }
            // Looking for a primary is the wait: the driver goes on when the server says that it is one.
            try await MongoServer.command(["ping": 1], at: uri("admin", options: "&serverSelectionTimeoutMS=60000"))
        } catch {
            let log = try? String(contentsOf: folder.appending(path: "mongod.log"), encoding: .utf8)  // only for the message
            throw Failure(description: "mongod did not start: \(error)\n\(log?.suffix(2000) ?? "")")
        }
    }

    /// Ends the server as an operator would, and waits for its end. The data stay.
    public func stop() async { await end("TERM") }

    /// Ends the server as a power cut would. The data stay as they are on disk.
    public func kill() async { await end("KILL") }

    private func end(_ signal: String) async {
        guard let shell else { return }
        self.shell = nil
        await shell.end(signal)
    }

    private static func command(_ command: BSONDocument, at uri: String) async throws {
        let database = try MongoDatabase(MongoSettings(uri: uri, threads: 1))
        _ = try await database.run { try $0.command(command) }
        await database.shutDown()
    }

    private static func mongod() throws -> String {
        let environment = ProcessInfo.processInfo.environment
        let candidates =
            environment["MONGOD"].map { [$0] }
            ?? (environment["PATH"] ?? "").split(separator: ":").map { "\($0)/mongod" }
        guard let path = candidates.first(where: FileManager.default.isExecutableFile) else {
            throw Failure(
                description: "these tests need a genuine mongod: put one on the PATH or name it in MONGOD; deploy/test fetches one")
        }
        return path
    }

    private static func freePort() throws -> UInt16 {
        #if canImport(Glibc)
            let socket = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        #else
            let socket = Darwin.socket(AF_INET, SOCK_STREAM, 0)
        #endif
        defer { close(socket) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let succeeded = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(socket, $0, length) == 0 && getsockname(socket, $0, &length) == 0
            }
        }
        guard succeeded else { throw Failure(description: "no free port on 127.0.0.1") }
        return UInt16(bigEndian: address.sin_port)
    }
}

/// The running server and its watcher.
private final class Shell: Sendable {
    private let process: Process
    private let orders: FileHandle
    private let ended: AsyncStream<Void>

    /// The server takes the shell's place; a watcher beside it reads one order, a signal's name, or nothing at all when the other end of
    /// the pipe is gone. It never waits for a child: its signals are blocked, as they are on the thread that starts it.
    private static let script = """
        folder=$1; shift
        exec 3<&0 </dev/null >"$folder/mongod.log" 2>&1
        (
            if read -r signal <&3; then
                kill -s "$signal" $$
            else
                kill -s KILL $$
                exec rm -rf "$folder"
            fi
        ) &
        exec "$@" 3<&-
        """

    init(_ command: [String], folder: URL) throws {
        let pipe = Pipe()
        // Another server's shell must not hold this end open.
        _ = fcntl(pipe.fileHandleForWriting.fileDescriptor, F_SETFD, FD_CLOEXEC)
        let (ended, end) = AsyncStream.makeStream(of: Void.self)
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/bin/sh")
        process.arguments = ["-c", Shell.script, "sh", folder.path] + command
        process.standardInput = pipe
        process.terminationHandler = { _ in end.finish() }
        try process.run()
        self.process = process
        orders = pipe.fileHandleForWriting
        self.ended = ended
    }

    func end(_ signal: String) async {
        // Fails only when the shell is gone, which is what is wanted.
        try? orders.write(contentsOf: Data("\(signal)\n".utf8))
        for await _ in ended {}
    }
}
