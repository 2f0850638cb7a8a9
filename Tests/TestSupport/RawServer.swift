import Foundation

/// An HTTP/1.1 server on loopback that sends exactly the bytes a test wants, so that it can lie, break off and stall.
///
/// One thread per connection: an answer may block until the test lets it go on.
public final class RawServer: @unchecked Sendable {  // `lock` guards everything that changes
    public struct Request: Sendable {
        public let method: String
        /// Path and query as they came.
        public let target: String
        public let headers: [(name: String, value: String)]
        public let body: [UInt8]
        /// The connection that it came on, counted from 1.
        public let connection: Int
        public let arrivedAt: ContinuousClock.Instant

        public var path: String { String(target.prefix { $0 != "?" }) }

        public func header(_ name: String) -> String? {
            headers.first { $0.name.lowercased() == name.lowercased() }?.value
        }

        /// The decoded values of a query parameter.
        public func query(_ name: String) -> String? {
            URLComponents(string: target)?.queryItems?.first { $0.name == name }?.value
        }
    }

    public enum Answer: Sendable {
        /// These bytes; the connection stays open.
        case bytes([UInt8])
        /// These bytes, then an orderly close.
        case cut([UInt8])
        /// A TCP reset.
        case reset
        /// Nothing until the server is stopped or the client leaves.
        case silence

        public static func json(_ body: String, status: Int = 200, headers: [String] = []) -> Answer {
            http(status, ["Content-Type: application/json;charset=utf-8"] + headers, Array(body.utf8))
        }

        public static func http(_ status: Int, _ headers: [String], _ body: [UInt8]) -> Answer {
            let head = (["HTTP/1.1 \(status) X"] + headers + ["Content-Length: \(body.count)"]).joined(separator: "\r\n")
            return .bytes(Array("\(head)\r\n\r\n".utf8) + body)
        }
    }

    public let port: Int
    private let listener: Int32
    private let answer: @Sendable (Request) -> Answer
    private let greeting: [UInt8]
    private let lock = NSLock()
    private var open: Set<Int32> = []
    private var isStopped = false
    private var seen: [Request] = []
    private var connectionCount = 0

    public var url: String { "http://127.0.0.1:\(port)" }
    public var requests: [Request] { lock.withLock { seen } }
    public var connections: Int { lock.withLock { connectionCount } }

    /// - Parameter greeting: sent to whoever connects, before a request is read.
    public init(greeting: [UInt8] = [], _ answer: @escaping @Sendable (Request) -> Answer) throws {
        self.answer = answer
        self.greeting = greeting
        listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let descriptor = listener
        let code = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, length) == 0 && listen(descriptor, 512) == 0 && getsockname(descriptor, $0, &length) == 0
            }
        }
        guard code else { throw POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO) }
        port = Int(UInt16(bigEndian: address.sin_port))
        Thread { [self] in acceptAll() }.start()
    }

    /// Closes the port and every connection. Threads that wait for a test's signal end when they get it.
    public func stop() {
        lock.withLock {
            guard !isStopped else { return }
            isStopped = true
            shutdown(listener, Int32(SHUT_RDWR))
            for descriptor in open { shutdown(descriptor, Int32(SHUT_RDWR)) }
        }
    }

    private func acceptAll() {
        // Here alone: closed elsewhere, its number could be another server's by the time that it is accepted from once more.
        defer { close(listener) }
        while true {
            let descriptor = accept(listener, nil, nil)
            guard descriptor >= 0 else { return }
            let number: Int? = lock.withLock {
                guard !isStopped else { return nil }
                open.insert(descriptor)
                connectionCount += 1
                return connectionCount
            }
            guard let number else {
                close(descriptor)
                return
            }
            Thread { [self] in
                serve(descriptor, number)
                lock.withLock {
                    open.remove(descriptor)
                    close(descriptor)
                }
            }.start()
        }
    }

    private func serve(_ descriptor: Int32, _ number: Int) {
        var buffer: [UInt8] = []
        func fill() -> Bool {
            var chunk = [UInt8](repeating: 0, count: 65_536)
            let count = recv(descriptor, &chunk, chunk.count, 0)
            guard count > 0 else { return false }
            buffer += chunk[..<count]
            return true
        }
        let end = Array("\r\n\r\n".utf8)
        guard write(greeting, descriptor) else { return }
        while true {
            var headEnd = buffer.firstIndex(of: end)
            while headEnd == nil {
                guard fill() else { return }
                headEnd = buffer.firstIndex(of: end)
            }
            guard let headEnd else { return }
            let arrivedAt = ContinuousClock.now
            let lines = String(decoding: buffer[..<headEnd], as: UTF8.self).components(separatedBy: "\r\n")
            let words = lines[0].components(separatedBy: " ")
            let headers = lines.dropFirst().map { line in
                let parts = line.split(separator: ":", maxSplits: 1)
                return (name: String(parts[0]), value: parts.count > 1 ? parts[1].trimmingCharacters(in: .whitespaces) : "")
            }
            let length = headers.first { $0.name.lowercased() == "content-length" }.flatMap { Int($0.value) } ?? 0
            while buffer.count < headEnd + 4 + length {
                guard fill() else { return }
            }
            let body = Array(buffer[(headEnd + 4)..<(headEnd + 4 + length)])
            buffer.removeFirst(headEnd + 4 + length)
            let request = Request(
                method: words[0], target: words[1], headers: headers, body: body, connection: number, arrivedAt: arrivedAt)
            lock.withLock { seen.append(request) }
            switch answer(request) {
            case .bytes(let bytes): guard write(bytes, descriptor) else { return }
            case .cut(let bytes):
                _ = write(bytes, descriptor)
                shutdown(descriptor, Int32(SHUT_RDWR))
                return
            case .reset:
                var linger = linger(l_onoff: 1, l_linger: 0)
                setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &linger, socklen_t(MemoryLayout<linger>.size))
                return
            case .silence:
                while fill() {}
                return
            }
        }
    }

    private func write(_ bytes: [UInt8], _ descriptor: Int32) -> Bool {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            guard count > 0 else { return false }
            rest = rest.dropFirst(count)
        }
        return true
    }
}

extension [UInt8] {
    fileprivate func firstIndex(of pattern: [UInt8]) -> Int? {
        guard count >= pattern.count else { return nil }
        return (0...(count - pattern.count)).first { self[$0] == pattern[0] && self[$0..<$0 + pattern.count].elementsEqual(pattern) }
    }
}
