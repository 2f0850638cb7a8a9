import Foundation
import Mongo
import Synchronization

/// One genuine `mongod` of a `MongoServer`, with a port and a data folder of its own.
///
/// A watcher beside it reads a pipe whose other end only this process holds. However this process ends, the pipe ends with it, and the
/// watcher kills the server and removes its data. Nothing is left running.
actor MongoMember {
    nonisolated let port: UInt16
    private let folder: URL
    private let options: [String]
    private var shell: Shell?

    /// - Parameter options: of `mongod`, beyond those that all share.
    init(options: [String]) throws {
        self.options = options
        port = try freePort()
        folder = FileManager.default.temporaryDirectory.appending(path: "hubspot-sync-mongod-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    }

    deinit {
        // The watcher of a server that runs removes its data; of one that was stopped, only this is left.
        if shell == nil { try? FileManager.default.removeItem(at: folder) }
    }

    nonisolated var uri: String { "mongodb://127.0.0.1:\(port)/admin?directConnection=true" }

    var log: String {
        let text = try? String(contentsOf: folder.appending(path: "mongod.log"), encoding: .utf8)  // only for messages
        return String(text?.suffix(2000) ?? "")
    }

    func start() throws {
        precondition(shell == nil, "the server runs")
        shell = try Shell(
            [
                try MongoMember.mongod(), "--dbpath", folder.path, "--port", String(port), "--bind_ip", "127.0.0.1", "--replSet", "rs0",
                "--setParameter", "enableTestCommands=1", "--setParameter", "diagnosticDataCollectionEnabled=false", "--nounixsocket",
                // A dropped database keeps its files open until the history that the server holds is younger (five minutes, else) and a
                // checkpoint has passed, and the tests drop many: the server would end at its limit of open files.
                "--setParameter", "minSnapshotHistoryWindowInSeconds=30", "--quiet", "--syncdelay", "15",
            ] + options, folder: folder)
    }

    enum End: String {
        /// As an operator would.
        case stopped = "kill -s TERM"
        /// As a power cut would.
        case killed = "kill -s KILL"
        /// Every write to a file fails as on a disk without space, on which the server aborts.
        case diskFull = "prlimit --fsize=0 --pid"
    }

    /// Ends the server and waits for its end. The data stay as they are on disk.
    func end(_ end: End) async {
        guard let shell else { return }
        self.shell = nil
        await shell.end(end)
    }

    /// Stops the process in its tracks: its connections stay open, and nothing answers.
    func freeze() { shell?.signal(SIGSTOP) }

    func thaw() { shell?.signal(SIGCONT) }

    private static func mongod() throws -> String {
        let environment = ProcessInfo.processInfo.environment
        let candidates =
            environment["MONGOD"].map { [$0] }
            ?? (environment["PATH"] ?? "").split(separator: ":").map { "\($0)/mongod" }
        guard let path = candidates.first(where: FileManager.default.isExecutableFile) else {
            throw MongoServer.Failure(
                description: "these tests need a genuine mongod: put one on the PATH or name it in MONGOD; deploy/test fetches one")
        }
        return path
    }
}

/// The running server and its watcher.
private final class Shell: Sendable {
    private let process: Process
    private let orders: FileHandle
    private let ended: AsyncStream<Void>
    private let order = Order()

    /// Whether this process has asked for the end.
    private final class Order: Sendable {
        let isGiven = Mutex(false)
    }

    /// The server takes the shell's place; a watcher beside it reads one order, or nothing at all when the other end of the pipe is
    /// gone. It never waits for a child: its signals are blocked, as they are on the thread that starts it. A write beyond
    /// the size limit of files is to fail, and not to kill.
    private static let script = """
        folder=$1; shift
        exec 3<&0 </dev/null >"$folder/mongod.log" 2>&1
        trap '' XFSZ
        (
            if read -r order <&3; then
                $order $$
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
        self.process = process
        orders = pipe.fileHandleForWriting
        self.ended = ended
        process.terminationHandler = { [order] _ in
            end.finish()
            guard !order.isGiven.withLock({ $0 }) else { return }
            // Whatever fails after this fails because of it.
            let log = try? String(contentsOf: folder.appending(path: "mongod.log"), encoding: .utf8)
            print("a mongod of the tests ended by itself:\n\(log?.suffix(4000) ?? "its log is gone")")
        }
        try process.run()
    }

    func signal(_ number: Int32) {
        // A reaped process's id may be somebody else's.
        if process.isRunning { _ = kill(process.processIdentifier, number) }
    }

    func end(_ end: MongoMember.End) async {
        order.isGiven.withLock { $0 = true }
        // Fails only when the shell is gone, which is what is wanted.
        try? orders.write(contentsOf: Data("\(end.rawValue)\n".utf8))
        for await _ in ended {}
    }
}
