import NIOCore
import NIOHTTP1

/// One request and what became of it. Sendable because it stays on its event loop.
final class HTTPExchange: @unchecked Sendable {
    let head: HTTPRequestHead
    let body: [UInt8]
    private var done: (@Sendable (HTTPPoster.Outcome) -> Void)?
    var timeout: Scheduled<Void>?
    var channel: (any Channel)?
    /// The connection can carry another request.
    var onReusable: (() -> Void)?
    /// The connection was closed before it carried anything back.
    var onUnused: (() -> Void)?

    init(head: HTTPRequestHead, body: [UInt8], done: @escaping @Sendable (HTTPPoster.Outcome) -> Void) {
        self.head = head
        self.body = body
        self.done = done
    }

    var isFinished: Bool { done == nil }

    /// The first outcome counts. A connection whose answer did not come in time is of no more use.
    func finish(_ outcome: HTTPPoster.Outcome) {
        guard let done else { return }
        self.done = nil
        timeout?.cancel()
        if outcome == .deadline { channel?.close(promise: nil) }
        onUnused = nil
        done(outcome)
    }
}
