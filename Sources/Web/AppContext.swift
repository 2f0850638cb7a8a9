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

    /// What the log calls this request; empty when the log keeps no metadata, for which Hummingbird's `id` would end the program.
    var requestID: String { logger[metadataKey: "hb.request.id"].map { "\($0)" } ?? "" }

    init(source: ApplicationRequestContextSource) {
        coreContext = CoreRequestContextStorage(source: source)
        peerAddress = source.channel.remoteAddress?.ipAddress ?? "unknown"
    }
}
