import Foundation

/// What a program believes to be a terminal, to see what it draws there.
final class PseudoTerminal: @unchecked Sendable {  // `lock` guards what the reading thread changes
    /// Given to the program; closed by `text` after its end.
    let slave: FileHandle
    private let master: Int32
    /// `TIOCSPTLCK` and `TIOCGPTN` of Linux.
    private static let setLock: UInt = 0x4004_5431, getNumber: UInt = 0x8004_5430
    private let lock = NSLock()
    private var bytes: [UInt8] = []
    private let (ended, end) = AsyncStream.makeStream(of: Void.self)

    init() throws {
        master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC)
        // What `unlockpt` and `ptsname` do, which Swift's Glibc does not show.
        var isLocked: CInt = 0, number: CUnsignedInt = 0
        guard master >= 0, ioctl(master, PseudoTerminal.setLock, &isLocked) == 0, ioctl(master, PseudoTerminal.getNumber, &number) == 0
        else { throw POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO) }
        let descriptor = open("/dev/pts/\(number)", O_RDWR | O_NOCTTY | O_CLOEXEC)
        guard descriptor >= 0 else { throw POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO) }
        slave = FileHandle(fileDescriptor: descriptor, closeOnDealloc: false)
        Thread { [self] in
            var chunk = [UInt8](repeating: 0, count: 4096)
            while true {
                let count = read(master, &chunk, chunk.count)
                guard count > 0 else { break }  // EIO once nobody holds the slave
                lock.withLock { bytes += chunk[..<count] }
            }
            close(master)
            end.finish()
        }.start()
    }

    /// What was drawn so far.
    var textSoFar: String { lock.withLock { String(decoding: bytes, as: UTF8.self) } }

    /// All that was drawn, once the program has ended.
    func text() async throws -> String {
        try slave.close()
        for await _ in ended {}
        return lock.withLock { String(decoding: bytes, as: UTF8.self) }
    }
}
