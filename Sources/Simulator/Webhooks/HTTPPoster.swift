import NIOCore
import NIOHTTP1
import NIOPosix

/// Posts bodies over HTTP/1.1 and keeps connections alive. No TLS: deliveries go to a receiver on the same machine.
///
/// Sendable because everything in it runs on `loop`, which every entry checks.
final class HTTPPoster: @unchecked Sendable {
    enum Outcome: Sendable, Equatable {
        case status(Int)
        /// Not answered in time.
        case deadline
        /// Not connected, or closed before the answer.
        case connection
    }

    struct Address: Sendable, Hashable {
        let host: String
        let port: Int
        let target: String
        let authority: String

        /// nil unless `http://host[:port][/path][?query]`.
        init?(_ url: String) {
            guard url.hasPrefix("http://") else { return nil }
            let rest = url.dropFirst(7)
            let authority = rest.prefix { $0 != "/" && $0 != "?" }
            let target = rest.dropFirst(authority.count)
            let parts = authority.split(separator: ":", maxSplits: 1)
            guard let host = parts.first, let port = parts.count > 1 ? Int(parts[1]) : 80 else { return nil }
            self.host = String(host)
            self.port = port
            self.target = target.hasPrefix("/") ? String(target) : "/" + target
            self.authority = String(authority)
        }
    }

    let loop: any EventLoop
    private var idle: [any Channel] = []
    private var open: [ObjectIdentifier: any Channel] = [:]
    /// Where the idle connections lead to.
    private var peer = ""

    init(loop: any EventLoop) { self.loop = loop }

    func post(
        _ address: Address, headers: [(name: String, value: String)], body: [UInt8], deadline: TimeAmount,
        done: @escaping @Sendable (Outcome) -> Void
    ) {
        loop.preconditionInEventLoop()
        var all = HTTPHeaders([("Host", address.authority), ("Content-Length", String(body.count))])
        for (name, value) in headers { all.add(name: name, value: value) }
        let head = HTTPRequestHead(version: .http1_1, method: .POST, uri: address.target, headers: all)
        let exchange = HTTPExchange(head: head, body: body, done: done)
        exchange.timeout = loop.scheduleTask(in: deadline) { exchange.finish(.deadline) }
        if peer != address.host + ":\(address.port)" {
            for channel in idle { channel.close(promise: nil) }
            idle = []
            peer = address.host + ":\(address.port)"
        }
        send(exchange, to: address)
    }

    private func send(_ exchange: HTTPExchange, to address: Address) {
        while let channel = idle.popLast() {
            guard channel.isActive else { continue }
            // The peer may close a connection just as it is used again; then a new one is tried.
            exchange.onUnused = { [self] in send(exchange, to: address) }
            start(exchange, on: channel)
            return
        }
        exchange.onUnused = nil
        ClientBootstrap(group: loop)
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .connectTimeout(.seconds(5))
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHTTPClientHandlers()
                    try channel.pipeline.syncOperations.addHandler(HTTPExchangeHandler())
                }
            }
            .connect(host: address.host, port: address.port)
            .whenComplete { [self] result in
                switch result {
                case .failure: exchange.finish(.connection)
                case .success(let channel):
                    open[ObjectIdentifier(channel)] = channel
                    channel.closeFuture.whenComplete { [self] _ in
                        open[ObjectIdentifier(channel)] = nil
                        idle.removeAll { $0 === channel }
                    }
                    start(exchange, on: channel)
                }
            }
    }

    private func start(_ exchange: HTTPExchange, on channel: any Channel) {
        guard !exchange.isFinished else {
            idle.append(channel)
            return
        }
        exchange.channel = channel
        exchange.onReusable = { [self] in if channel.isActive { idle.append(channel) } }
        do {
            let handler = try channel.pipeline.syncOperations.handler(type: HTTPExchangeHandler.self)
            handler.exchange = exchange
        } catch {
            exchange.finish(.connection)
            return
        }
        channel.write(HTTPClientRequestPart.head(exchange.head), promise: nil)
        channel.write(HTTPClientRequestPart.body(.byteBuffer(ByteBuffer(bytes: exchange.body))), promise: nil)
        channel.writeAndFlush(HTTPClientRequestPart.end(nil), promise: nil)
    }

    func close() {
        loop.preconditionInEventLoop()
        for channel in open.values { channel.close(promise: nil) }
        idle = []
    }
}
