public import Logging
import Model
public import ServiceLifecycle
public import Store

/// Turns records that have not been compared with HubSpot for `STALE_AFTER` from `synced` to `pending`.
public struct StaleSweep: Service {
    private let mirror: MirrorWriter
    private let staleAfter: Duration
    private let logger: Logger

    public init(mirror: MirrorWriter, staleAfter: Duration, logger: Logger) {
        self.mirror = mirror
        self.staleAfter = staleAfter
        self.logger = logger
    }

    public func run() async throws {
        let every = max(.milliseconds(100), min(.seconds(60), staleAfter / 4))
        await cancelWhenGracefulShutdown {
            while !Task.isCancelled {
                do {
                    try await mirror.markStale(olderThan: .now - staleAfter)
                } catch {
                    logger.debug("Stale records could not be looked for", metadata: ["error": "\(error)"])
                }
                // Cancelled while asleep: the loop's condition ends it.
                try? await Task.sleep(for: every, clock: .core)
            }
        }
    }
}
