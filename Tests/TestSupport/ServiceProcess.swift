public import Foundation

/// The built `hubspot-sync` as a process of its own: its output, its memory, its end.
///
/// As with `MongoServer`, a watcher beside it reads a pipe whose other end only this process holds, so that nothing is left running
/// however the tests end.
public final class ServiceProcess: @unchecked Sendable {  // `lock` guards everything that changes
    public struct Failure: Error, CustomStringConvertible {
        public let description: String
    }

    private enum Stream { case output, error }

    private let process = Process()
    private let leash = Pipe()
    private let lock = NSLock()
    private var output: [UInt8] = []
    private var errors: [UInt8] = []
    private var streamsOpen = 0
    private var status: Int32?
    private var lineWaiters: [(text: String, continuation: CheckedContinuation<String, any Error>)] = []
    private var exitWaiters: [CheckedContinuation<Int32, Never>] = []

    /// What is tested: `HUBSPOT_SYNC_BINARY`, else the debug binary that `swift test` builds beside the tests.
    public static func binary() throws -> String {
        if let path = ProcessInfo.processInfo.environment["HUBSPOT_SYNC_BINARY"] {
            guard FileManager.default.isExecutableFile(atPath: path) else {
                throw Failure(description: "HUBSPOT_SYNC_BINARY names \(path), which cannot be run: build it, or unset the variable")
            }
            return path
        }
        let tests = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
        let path = URL(fileURLWithPath: tests).deletingLastPathComponent().appending(path: "hubspot-sync").path
        guard FileManager.default.isExecutableFile(atPath: path) else {
            throw Failure(description: "there is no \(path): run 'swift build', or name a binary in HUBSPOT_SYNC_BINARY")
        }
        return path
    }

    /// Whether the binary is an optimised one, of which figures mean something.
    public static var isRelease: Bool {
        get throws { URL(fileURLWithPath: try binary()).resolvingSymlinksInPath().pathComponents.contains("release") }
    }

    /// Starts the binary with nothing of this process's environment but `PATH`, `HOME` and `TMPDIR`.
    ///
    /// - Parameters:
    ///   - standardOutput: where its output goes instead of `standardOutput`; the caller closes it.
    ///   - standardError: the same for its errors.
    public init(
        _ arguments: [String], environment: [String: String] = [:], standardOutput: FileHandle? = nil, standardError: FileHandle? = nil
    ) throws {
        let own = ProcessInfo.processInfo.environment.filter { ["PATH", "HOME", "TMPDIR"].contains($0.key) }
        process.executableURL = URL(fileURLWithPath: "/bin/sh")
        process.arguments = ["-c", ServiceProcess.script, "sh", try ServiceProcess.binary()] + arguments
        process.environment = own.merging(environment) { $1 }
        let out = Pipe(), error = Pipe()
        // What is started beside this one must not hold the ends of its pipes open.
        for pipe in [leash, out, error] {
            for handle in [pipe.fileHandleForReading, pipe.fileHandleForWriting] {
                _ = fcntl(handle.fileDescriptor, F_SETFD, FD_CLOEXEC)
            }
        }
        process.standardInput = leash
        process.standardOutput = standardOutput.map { $0 as Any } ?? out
        process.standardError = standardError.map { $0 as Any } ?? error
        process.terminationHandler = { [self] in ended($0) }
        // The child inherits this thread's mask, in which a thread pool may have blocked the signals that the child waits for.
        var none = sigset_t(), before = sigset_t()
        sigemptyset(&none)
        pthread_sigmask(SIG_SETMASK, &none, &before)
        defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
        streamsOpen = [standardOutput, standardError].count { $0 == nil }
        try process.run()
        if standardOutput == nil { collect(out.fileHandleForReading, .output) }
        if standardError == nil { collect(error.fileHandleForReading, .error) }
    }

    /// The binary takes the shell's place. The watcher reads a line when it has ended, or nothing when the tests have.
    private static let script = """
        exec 3<&0 </dev/null
        ( exec >/dev/null 2>&1; read -r _ <&3 || kill -s KILL $$ ) &
        exec "$@" 3<&-
        """

    /// Runs the binary to its end.
    public static func run(
        _ arguments: [String], environment: [String: String] = [:]
    ) async throws -> (status: Int32, output: String, errors: String) {
        let process = try ServiceProcess(arguments, environment: environment)
        let status = await process.exit()
        return (status, process.standardOutput, process.standardError)
    }

    // MARK: What it says

    public var standardOutput: String { lock.withLock { String(decoding: output, as: UTF8.self) } }
    public var standardError: String { lock.withLock { String(decoding: errors, as: UTF8.self) } }

    /// The first line of standard error that holds `text`, as soon as it is there.
    ///
    /// - Throws: `Failure` with all of standard error when the process ends without it.
    public func line(with text: String) async throws -> String {
        try await withCheckedThrowingContinuation { continuation in
            lock.withLock {
                if let line = firstLine(with: text) {
                    continuation.resume(returning: line)
                } else if streamsOpen == 0 || status != nil {
                    continuation.resume(throwing: missing(text))
                } else {
                    lineWaiters.append((text, continuation))
                }
            }
        }
    }

    /// The number after `name=` in the first line that holds `text`.
    public func number(_ name: String, inLineWith text: String) async throws -> Int {
        let line = try await line(with: text)
        guard let start = line.range(of: name + "=")?.upperBound, let number = Int(line[start...].prefix { $0.isNumber }) else {
            throw Failure(description: "no \(name) in: \(line)")
        }
        return number
    }

    private func firstLine(with text: String) -> String? {
        guard let end = errors.lastIndex(of: UInt8(ascii: "\n")) else { return nil }
        return String(decoding: errors[..<end], as: UTF8.self).split(separator: "\n").first { $0.contains(text) }.map(String.init)
    }

    private func missing(_ text: String) -> Failure {
        Failure(description: "the process ended without saying '\(text)':\n\(String(decoding: errors, as: UTF8.self))")
    }

    private func collect(_ handle: FileHandle, _ stream: Stream) {
        Thread { [self] in
            var chunk = [UInt8](repeating: 0, count: 65_536)
            while true {
                let count = read(handle.fileDescriptor, &chunk, chunk.count)
                guard count > 0 else { break }
                lock.withLock {
                    if stream == .output { output += chunk[..<count] } else { errors += chunk[..<count] }
                    answerLineWaiters()
                }
            }
            try? handle.close()  // nothing is left to read
            lock.withLock {
                streamsOpen -= 1
                if streamsOpen == 0 { letWatcherGo() }
                settle()
            }
        }.start()
    }

    private func answerLineWaiters() {
        lineWaiters.removeAll { waiter in
            guard let line = firstLine(with: waiter.text) else { return false }
            waiter.continuation.resume(returning: line)
            return true
        }
    }

    // MARK: Its end

    private func ended(_ process: Process) {
        lock.withLock {
            status = process.terminationReason == .exit ? process.terminationStatus : 128 + process.terminationStatus
            settle()
        }
    }

    /// The process has closed its output, so it has ended. Foundation notices that only when the watcher has, too: it looks at a
    /// descriptor that both inherit.
    private func letWatcherGo() {
        // Fails only when the watcher is gone, which is what is wanted.
        try? leash.fileHandleForWriting.write(contentsOf: Data("ended\n".utf8))
        try? leash.fileHandleForWriting.close()
    }

    /// Once the process is gone and all that it said is read.
    private func settle() {
        guard let status, streamsOpen == 0 else { return }
        for waiter in lineWaiters { waiter.continuation.resume(throwing: missing(waiter.text)) }
        lineWaiters = []
        for waiter in exitWaiters { waiter.resume(returning: status) }
        exitWaiters = []
    }

    /// Its status when it has ended; 128 and more for a signal.
    public func exit() async -> Int32 {
        await withCheckedContinuation { continuation in
            lock.withLock {
                exitWaiters.append(continuation)
                settle()
            }
        }
    }

    /// Asks it to stop and waits for its end.
    public func terminate() async -> (status: Int32, took: Duration) {
        let start = ContinuousClock.now
        signal(SIGTERM)
        return (await exit(), ContinuousClock.now - start)
    }

    /// Ends it as a power cut would.
    public func kill() async {
        signal(SIGKILL)
        _ = await exit()
    }

    /// Ends it as a fault of its own would, by the signal that the system sends then.
    public func crash(_ number: Int32) async -> Int32 {
        signal(number)
        return await exit()
    }

    /// Its process id.
    public var identifier: Int32 { process.processIdentifier }

    /// What other users see of it: program and arguments, as `ps` shows them.
    public var commandLine: [UInt8] {
        get throws { Array(try Data(contentsOf: URL(fileURLWithPath: "/proc/\(process.processIdentifier)/cmdline"))) }
    }

    private func signal(_ number: Int32) {
        lock.withLock {
            // A reaped process's id may be somebody else's.
            if status == nil { _ = Foundation.kill(process.processIdentifier, number) }
        }
    }

    // MARK: Its cost

    /// Time that it spent on processors, its own and the kernel's for it.
    public var cpuSeconds: Double {
        get throws {
            let text = try String(contentsOfFile: "/proc/\(process.processIdentifier)/stat", encoding: .utf8)
            // Behind the name, which stands in brackets and may hold anything.
            let fields = text[(text.lastIndex(of: ")") ?? text.startIndex)...].split(separator: " ")
            guard fields.count > 12, let user = Double(fields[12]), let system = Double(fields[13]) else { return .nan }
            return (user + system) / Double(sysconf(Int32(_SC_CLK_TCK)))
        }
    }

    /// Megabytes (10⁶ bytes) resident now and at most since the start.
    public var memory: (now: Double, peak: Double) {
        get throws {
            let text = try String(contentsOfFile: "/proc/\(process.processIdentifier)/status", encoding: .utf8)
            func megabytes(_ name: String) -> Double {
                let line = text.split(separator: "\n").first { $0.hasPrefix(name + ":") } ?? ""
                return (Double(line.filter { $0.isNumber }) ?? .nan) * 1024 / 1e6
            }
            return (megabytes("VmRSS"), megabytes("VmHWM"))
        }
    }
}
