import NIOCore
import NIOHTTP1

/// Reads the answers on one connection, one exchange after the other.
final class HTTPExchangeHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPClientResponsePart

    var exchange: HTTPExchange?
    private var status = 0
    private var keepsAlive = false

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head):
            exchange?.onUnused = nil
            status = Int(head.status.code)
            keepsAlive = head.isKeepAlive
        case .body: break
        case .end:
            guard let exchange else { return }
            self.exchange = nil
            if keepsAlive { exchange.onReusable?() } else { context.close(promise: nil) }
            exchange.finish(.status(status))
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        let exchange = exchange
        self.exchange = nil
        if let again = exchange?.onUnused { again() } else { exchange?.finish(.connection) }
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
