import Foundation
import Glibc

/// What came back on a socket until the other side closed it.
struct RawAnswer {
    struct Reset: Error {}

    let head: String
    let body: Data

    /// - Throws: `Reset` when the connection was refused or reset, or closed without an answer.
    static func of(_ request: String, port: Int) throws -> RawAnswer {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(UInt16(port)).bigEndian
        address.sin_addr.s_addr = in_addr_t(0x7F00_0001).bigEndian
        let connected = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard connected == 0 else { throw Reset() }
        let bytes = Array(request.utf8)
        guard send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL)) == bytes.count else { throw Reset() }
        var all = Data()
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = recv(descriptor, &buffer, buffer.count, 0)
            guard count >= 0 else { throw Reset() }
            if count == 0 { break }
            all.append(contentsOf: buffer[..<count])
        }
        guard let end = all.range(of: Data("\r\n\r\n".utf8)) else { throw Reset() }
        return RawAnswer(head: String(decoding: all[..<end.upperBound], as: UTF8.self), body: Data(all[end.upperBound...]))
    }
}
