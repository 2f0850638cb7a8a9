import Foundation

/// A connection on which a test sends exactly the bytes that it wants, whole requests or not. Blocks: to be used in `onThread`.
final class WebhookConnection: @unchecked Sendable {  // one thread at a time uses it
    struct Answer: Sendable {
        let status: Int
        let headers: [String: String]
        let body: [UInt8]
    }

    struct Failure: Error { let what: String }

    private let socket: Int32
    private var received: [UInt8] = []

    init(port: Int) throws {
        socket = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = UInt16(port).bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        // An answer that does not come fails the test instead of holding it up.
        var patience = timeval(tv_sec: 30, tv_usec: 0)
        setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
        setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
        let code = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(socket, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
        }
        guard code == 0 else { throw Failure(what: "connect: \(String(cString: strerror(errno)))") }
    }

    deinit { Glibc.close(socket) }

    /// False when the other side takes no more.
    @discardableResult func send(_ bytes: [UInt8]) -> Bool {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.send(socket, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            guard count > 0 else { return false }
            rest = rest.dropFirst(count)
        }
        return true
    }

    /// Says that nothing more will come; answers still can.
    func finishSending() { shutdown(socket, Int32(SHUT_WR)) }

    /// The next whole answer; nil when the other side closed the connection instead.
    func answer() throws -> Answer? {
        while true {
            if let answer = parse() { return answer }
            guard try fill() else { return nil }
        }
    }

    /// Everything that came since the last call up to this text and a little beyond it; nil when the connection ends before.
    func read(until text: String) throws -> String? {
        while received.firstRange(of: Array(text.utf8)) == nil { guard try fill() else { return nil } }
        defer { received = [] }
        return String(decoding: received, as: UTF8.self)
    }

    /// The next line without its end; nil when the other side closed the connection instead.
    func line() throws -> String? {
        while true {
            if let end = received.firstIndex(of: 0x0A) {
                let line = String(decoding: received[..<end], as: UTF8.self)
                received.removeFirst(end + 1)
                return line.hasSuffix("\r") ? String(line.dropLast()) : line
            }
            guard try fill() else { return nil }
        }
    }

    private func fill() throws -> Bool {
        var chunk = [UInt8](repeating: 0, count: 16_384)
        let count = recv(socket, &chunk, chunk.count, 0)
        if count < 0, errno == EAGAIN { throw Failure(what: "no answer within 30 s") }
        guard count > 0 else { return false }
        received += chunk[..<count]
        return true
    }

    private func parse() -> Answer? {
        guard let end = received.firstRange(of: Array("\r\n\r\n".utf8)) else { return nil }
        let lines = String(decoding: received[..<end.lowerBound], as: UTF8.self).components(separatedBy: "\r\n")
        var headers: [String: String] = [:]
        for line in lines.dropFirst() {
            let parts = line.split(separator: ":", maxSplits: 1)
            headers[parts[0].lowercased()] = parts.count > 1 ? parts[1].trimmingCharacters(in: .whitespaces) : ""
        }
        let length = headers["content-length"].flatMap { Int($0) } ?? 0
        guard received.count >= end.upperBound + length else { return nil }
        let body = Array(received[end.upperBound..<end.upperBound + length])
        received.removeFirst(end.upperBound + length)
        return Answer(
            status: lines[0].split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0, headers: headers, body: body)
    }
}

/// Runs what blocks on a thread of its own, so that no task of the service waits for it.
func onThread<Success: Sendable>(_ body: @Sendable @escaping () throws -> Success) async throws -> Success {
    try await withCheckedThrowingContinuation { continuation in
        Thread { continuation.resume(with: Result { try body() }) }.start()
    }
}
