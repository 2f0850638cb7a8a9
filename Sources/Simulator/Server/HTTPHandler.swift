import CZlib
import Glibc
import NIOCore
import NIOHTTP1
import NIOPosix

/// One connection: gathers each request, hands it on, and writes or mistreats the answer.
///
/// The server stands on NIO alone because its faults need the connection itself: a reset, or a body that ends too early.
final class HTTPHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private let compresses: @Sendable () -> Bool
    private let respond: @Sendable (Call) -> Answer
    private var head: HTTPRequestHead?
    private var body: [UInt8] = []
    private var arrival: Int64 = 0

    /// A request body may be this long; a longer one is answered 413.
    private static let bodyBytesMax = 64 << 20

    init(compresses: @escaping @Sendable () -> Bool, respond: @escaping @Sendable (Call) -> Answer) {
        self.compresses = compresses
        self.respond = respond
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head):
            self.head = head
            body = []
            arrival = HubSpotAPI.clock()
        case .body(let part):
            if body.count + part.readableBytes <= HTTPHandler.bodyBytesMax { body += part.readableBytesView }
        case .end:
            guard let head else { return }
            self.head = nil
            var call = Call(method: head.method.rawValue, target: head.uri)
            call.headers = head.headers.map { ($0.name, $0.value) }
            call.body = body
            call.arrival = arrival
            let answer =
                call.target.hasPrefix("/_simulator") && !HTTPHandler.isLoopback(context.remoteAddress)
                ? APIError.noSuchPath.answer(correlationId: "") : respond(call)
            body = []
            guard answer.delay > .zero else { return write(answer, to: head, context) }
            let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
            context.eventLoop.scheduleTask(in: .nanoseconds(answer.delay.nanoseconds)) {
                let (handler, context) = bound.value
                handler.write(answer, to: head, context)
            }
        }
    }

    private static func isLoopback(_ address: SocketAddress?) -> Bool {
        guard let ip = address?.ipAddress else { return false }
        return ip.hasPrefix("127.") || ip == "::1" || ip.hasPrefix("::ffff:127.")
    }

    private func write(_ answer: Answer, to request: HTTPRequestHead, _ context: ChannelHandlerContext) {
        guard context.channel.isActive else { return }
        if answer.manner == .reset {
            let bound = NIOLoopBound(context, eventLoop: context.eventLoop)
            guard let socket = context.channel as? any SocketOptionProvider else { return context.close(promise: nil) }
            socket.setSoLinger(linger(l_onoff: 1, l_linger: 0)).whenComplete { _ in bound.value.close(promise: nil) }
            return
        }
        var headers = HTTPHeaders()
        for (name, value) in answer.headers { headers.add(name: name, value: value) }
        var body = answer.body
        if !body.isEmpty, compresses(), request.headers[canonicalForm: "Accept-Encoding"].contains(where: { $0.hasPrefix("gzip") }) {
            body = HTTPHandler.gzip(body)
            headers.add(name: "Content-Encoding", value: "gzip")
        }
        if answer.status != 204 { headers.add(name: "Content-Length", value: String(body.count)) }
        let keepsAlive = request.isKeepAlive && answer.manner == .whole
        if !request.isKeepAlive { headers.add(name: "Connection", value: "close") }
        let status =
            answer.status == 477
            ? HTTPResponseStatus.custom(code: 477, reasonPhrase: "Migration in Progress") : .init(statusCode: answer.status)
        context.write(
            wrapOutboundOut(.head(HTTPResponseHead(version: request.version, status: status, headers: headers))), promise: nil)
        let sent = answer.manner == .cut ? body.prefix(body.count / 2) : body[...]
        if !sent.isEmpty, request.method != .HEAD {
            context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(bytes: sent)))), promise: nil)
        }
        let bound = NIOLoopBound(context, eventLoop: context.eventLoop)
        if answer.manner == .cut {
            context.writeAndFlush(wrapOutboundOut(.body(.byteBuffer(ByteBuffer())))).whenComplete { _ in
                bound.value.close(promise: nil)
            }
        } else {
            let written = context.writeAndFlush(wrapOutboundOut(.end(nil)))
            if !keepsAlive { written.whenComplete { _ in bound.value.close(promise: nil) } }
        }
    }

    private static func gzip(_ bytes: [UInt8]) -> [UInt8] {
        Array(unsafeUninitializedCapacity: hs_gzip_room(bytes.count)) { target, count in
            count = hs_gzip(bytes, bytes.count, target.baseAddress, target.count)
            precondition(count > 0, "out of memory")
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
