import NIOConcurrencyHelpers
import NIOCore
import NIOHTTP1
import NIOPosix

/// A listener with threads of its own, so that it shares none with what it is tested against.
final class HTTPServer: Sendable {
    private struct State {
        var channel: (any Channel)?
        var connections: [ObjectIdentifier: any Channel] = [:]
    }

    private let group = MultiThreadedEventLoopGroup(numberOfThreads: 2)
    private let side = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    private let compresses: @Sendable () -> Bool
    private let respond: @Sendable (Call) -> Answer
    private let state = NIOLockedValueBox(State())

    /// - Parameter compresses: whether the next answer is compressed, should the caller accept it.
    init(compresses: @escaping @Sendable () -> Bool = { false }, respond: @escaping @Sendable (Call) -> Answer) {
        self.compresses = compresses
        self.respond = respond
    }

    /// A loop for other work that belongs to the server and ends with it. On a thread of its own, so that neither waits for the other:
    /// the times to an answer that a sender measures would hold those of the server's own answers.
    var loop: any EventLoop { side.next() }

    /// - Returns: the port.
    func start(host: String, port: Int) async throws -> Int {
        let bootstrap = ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 256)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelInitializer { [state, compresses, respond] channel in
                state.withLockedValue { $0.connections[ObjectIdentifier(channel)] = channel }
                channel.closeFuture.whenComplete { _ in
                    state.withLockedValue { $0.connections[ObjectIdentifier(channel)] = nil }
                }
                return channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.configureHTTPServerPipeline()
                    try channel.pipeline.syncOperations.addHandler(HTTPHandler(compresses: compresses, respond: respond))
                }
            }
        let channel = try await bootstrap.bind(host: host, port: port).get()
        state.withLockedValue { $0.channel = channel }
        return channel.localAddress?.port ?? port
    }

    /// Closes the listener and every connection, and ends the threads.
    func stop() async {
        let (channel, connections) = state.withLockedValue { ($0.channel, Array($0.connections.values)) }
        // A channel that is closed already is what we want, and threads that have ended too.
        try? await channel?.close()
        for connection in connections { connection.close(promise: nil) }
        try? await group.shutdownGracefully()
        try? await side.shutdownGracefully()
    }
}
