import Hummingbird
import Logging

/// What a request carries from the connection to its handler.
struct AppContext: RequestContext {
    var coreContext: CoreRequestContextStorage
    /// The address of the peer: a proxy's, when there is one.
    let peerAddress: String
    /// Who is asking; set by `Authentication`.
    var caller: Caller?

    /// How the caller proved to be allowed in.
    enum Caller: Sendable { case key, session }

    init(source: ApplicationRequestContextSource) {
        coreContext = CoreRequestContextStorage(source: source)
        peerAddress = source.channel.remoteAddress?.ipAddress ?? "unknown"
    }
}
