import HTTPTypes
import NIOCore
import NIOHTTP1
import NIOHTTPTypes

/// Tells `Connections` what happens on one connection, and answers what never becomes a request.
final class ConnectionWatch: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPRequestPart
    typealias InboundOut = HTTPRequestPart
    typealias OutboundIn = HTTPResponsePart
    typealias OutboundOut = HTTPResponsePart

    private let connections: Connections
    private var connection: Connection?

    init(_ connections: Connections) { self.connections = connections }

    func handlerAdded(context: ChannelHandlerContext) {
        connection = connections.add(context.channel)
        guard let connection else { return }
        do {
            try context.pipeline.syncOperations.addHandler(ByteWatch(connection), position: .first)
        } catch {
            context.close(promise: nil)  // it is closed already
        }
    }

    func channelActive(context: ChannelHandlerContext) {
        context.fireChannelActive()
        // Only now: who serves it must have seen it open before it sees it closed.
        if connection == nil {
            refuse(context, APIError(.serviceUnavailable, "too_many_connections", "Too many connections; try again", retryAfter: .seconds(1)))
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        if let connection { connections.remove(connection) }
        context.fireChannelInactive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard let connection else { return }
        switch unwrapInboundIn(data) {
        case .head: connection.receivedHead()
        case .body(let bytes):
            guard connection.receivedBody(bytes.readableBytes, max: connections.limits.bodyMax + ConnectionLimits.bodyGrace) else {
                return connections.close(connection, .longBody)
            }
        case .end: connection.receivedEnd()
        }
        context.fireChannelRead(data)
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        if case .end = unwrapOutboundIn(data) { connection?.answered() }
        context.write(data, promise: promise)
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        connection?.isTaking(context.channel.isWritable)
        context.fireChannelWritabilityChanged()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // Of a request in hand its handler has to know.
        guard let error = error as? HTTPParserError, connection?.isUnasked != false else { return context.fireErrorCaught(error) }
        refuse(
            context,
            error == .headerOverflow
                ? APIError(
                    .requestHeaderFieldsTooLarge, "head_too_large",
                    "The request's target and headers are larger than REQUEST_MAX_HEAD (\(connections.limits.headMax) bytes)")
                : APIError(.badRequest, "bad_request", "The request cannot be understood"))
    }

    private func refuse(_ context: ChannelHandlerContext, _ error: APIError) {
        let (head, body) = error.alone
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        context.write(wrapOutboundOut(.body(body)), promise: nil)
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
        guard let connection else { return context.close(promise: nil) }
        // Closed at once with bytes unread, the answer could be lost.
        connection.leave()
        context.close(mode: .output, promise: nil)
    }
}

/// Tells when the first byte of a request comes; what comes after the connection was given up goes nowhere.
private final class ByteWatch: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    private let connection: Connection

    init(_ connection: Connection) { self.connection = connection }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if connection.received() { context.fireChannelRead(data) }
    }
}
