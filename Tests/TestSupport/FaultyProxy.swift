import Foundation

/// A network between two of them that misbehaves as it is told: a TCP proxy on loopback.
///
/// With several targets each connection goes to the next that takes it, as a balancer has it. Two threads a connection: what is slow is
/// slow for one connection alone.
public final class FaultyProxy: @unchecked Sendable {  // `lock` guards everything that changes
    public enum Fault: Sendable, Equatable {
        case none
        /// Whatever arrives is passed on that much later.
        case slow(Duration)
        /// Answers trickle: so many bytes, then a pause of a millisecond.
        case drip(Int)
        /// Each connection is reset when that many bytes of answers have passed.
        case resetAfter(Int)
        /// The peers vanish without a word: connections are taken and stay open, nothing passes, and no end is told. One that was open
        /// meanwhile is dead for good.
        case silence
    }

    private struct Connection {
        let near: Int32
        let far: Int32
        var isDead = false
        var isReset = false
        var answered = 0
        /// Of its two directions, those that go on.
        var open = 2
    }

    public let port: UInt16
    private let targets: [UInt16]
    private let listener: Int32
    private let lock = NSLock()
    private var connections: [Int: Connection] = [:]
    private var lastNumber = 0
    private var nextTarget = 0
    private var isStopped = false
    private var current = Fault.none

    public var url: String { "http://127.0.0.1:\(port)" }

    public init(to targets: UInt16...) throws { (listener, port) = try Self.listen(); self.targets = targets; begin() }

    public init(toAnyOf targets: [UInt16]) throws { (listener, port) = try Self.listen(); self.targets = targets; begin() }

    private func begin() { Thread { [self] in acceptAll() }.start() }

    /// What happens from now on, to open connections too.
    public var fault: Fault {
        get { lock.withLock { current } }
        set {
            lock.withLock {
                current = newValue
                if newValue == .silence { for number in connections.keys { connections[number]?.isDead = true } }
            }
        }
    }

    /// Connections that were ever taken.
    public var connectionCount: Int { lock.withLock { lastNumber } }

    /// Resets every open connection.
    public func resetAll() { lock.withLock { for number in connections.keys { reset(number) } } }

    /// Closes the port and every connection.
    public func stop() {
        lock.withLock {
            guard !isStopped else { return }
            isStopped = true
            shutdown(listener, Int32(SHUT_RDWR))
            for number in connections.keys { reset(number) }
        }
    }

    // MARK: Connections

    private func acceptAll() {
        defer { close(listener) }  // here alone, as in `RawServer`
        while true {
            let near = accept(listener, nil, nil)
            guard near >= 0 else { return }
            guard let far = connect() else {
                close(near)
                continue
            }
            for descriptor in [near, far] {
                var isOn: Int32 = 1
                setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &isOn, socklen_t(MemoryLayout<Int32>.size))
            }
            let number: Int? = lock.withLock {
                guard !isStopped else { return nil }
                lastNumber += 1
                connections[lastNumber] = Connection(near: near, far: far, isDead: current == .silence)
                return lastNumber
            }
            guard let number else {
                close(near)
                close(far)
                return
            }
            Thread { [self] in pass(from: near, to: far, of: number, isAnswer: false) }.start()
            Thread { [self] in pass(from: far, to: near, of: number, isAnswer: true) }.start()
        }
    }

    private func connect() -> Int32? {
        for _ in targets {
            let target = lock.withLock {
                nextTarget += 1
                return targets[nextTarget % targets.count]
            }
            let descriptor = Self.socket()
            var address = Self.address(target)
            let code = withUnsafePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
            }
            if code == 0 { return descriptor }
            close(descriptor)
        }
        return nil
    }

    private func pass(from source: Int32, to target: Int32, of number: Int, isAnswer: Bool) {
        var chunk = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = recv(source, &chunk, chunk.count, 0)
            let (fault, connection) = lock.withLock { (current, connections[number]) }
            guard let connection, !connection.isReset else { break }
            // Nobody learns that this side has ended either.
            if connection.isDead { if count > 0 { continue } else { return leave(number) } }
            guard count > 0 else {
                if count == 0 { shutdown(target, Int32(SHUT_WR)) } else { lock.withLock { reset(number) } }
                break
            }
            var bytes = chunk[..<count]
            switch fault {
            case .none, .silence: break
            case .slow(let delay): Thread.sleep(forTimeInterval: Double(delay.components.seconds) + Double(delay.components.attoseconds) / 1e18)
            case .drip(let size):
                while isAnswer, bytes.count > size, send(bytes.prefix(size), target) {
                    bytes = bytes.dropFirst(size)
                    usleep(1000)
                }
            case .resetAfter(let limit):
                guard isAnswer else { break }
                let passed: Int = lock.withLock {
                    defer { connections[number]?.answered += count }
                    return connections[number]?.answered ?? 0
                }
                if passed + count > limit {
                    _ = send(bytes.prefix(max(0, limit - passed)), target)
                    lock.withLock { reset(number) }
                    return leave(number)
                }
            }
            guard send(bytes, target) else { break }
        }
        leave(number)
    }

    /// The second direction that ends closes both sockets; a dead connection keeps them until the proxy stops, as nobody may be told.
    private func leave(_ number: Int) {
        lock.withLock {
            connections[number]?.open -= 1
            guard let connection = connections[number], connection.open == 0, !connection.isDead || connection.isReset else { return }
            connections[number] = nil
            close(connection.near)
            close(connection.far)
        }
    }

    /// Both ends get a reset: their threads notice and close them. The lock is held.
    private func reset(_ number: Int) {
        guard let connection = connections[number], !connection.isReset else { return }
        connections[number]?.isReset = true
        for descriptor in [connection.near, connection.far] {
            var linger = linger(l_onoff: 1, l_linger: 0)
            setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &linger, socklen_t(MemoryLayout<linger>.size))
            shutdown(descriptor, Int32(SHUT_RD))
        }
    }

    private func send(_ bytes: ArraySlice<UInt8>, _ descriptor: Int32) -> Bool {
        var rest = bytes
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            guard count > 0 else { return false }
            rest = rest.dropFirst(count)
        }
        return true
    }

    // MARK: Sockets

    private static func listen() throws -> (Int32, UInt16) {
        let listener = socket()
        var address = Self.address(0)
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let succeeded = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(listener, $0, length) == 0 && Glibc.listen(listener, 512) == 0 && getsockname(listener, $0, &length) == 0
            }
        }
        guard succeeded else { throw POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO) }
        return (listener, UInt16(bigEndian: address.sin_port))
    }

    private static func socket() -> Int32 { Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0) }

    private static func address(_ port: UInt16) -> sockaddr_in {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        address.sin_port = port.bigEndian
        return address
    }
}
