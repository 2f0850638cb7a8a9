/// Sends HTTP requests: one libcurl multi handle on one thread of its own, shared by any number of tasks.
///
/// Connections are kept and used again, HTTP/2 where a TLS server offers it; more transfers than connections per host wait inside.
/// Redirects are not followed. A proxy of the environment (`https_proxy`) is used, except for loopback.
public final class CurlDriver: HTTPSender {
    private let loop: CurlLoop

    /// - Parameter connectionsPerHost: 8 carry 26 requests a second at 300 ms each, more than any HubSpot limit allows.
    public init(connectionsPerHost: Int = 8) {
        loop = CurlLoop(connectionsPerHost: connectionsPerHost)
        loop.start()
    }

    deinit { loop.close() }

    /// Sends one request and waits for its complete answer, of whatever status.
    ///
    /// - Throws: `.cancelled` soon after the task is cancelled, `.stopped` after `shutDown`. Exactly one outcome per call.
    public func send(_ request: CurlRequest) async throws(CurlError) -> CurlResponse {
        let transfer = Transfer(request)
        let result = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                transfer.continuation = continuation
                loop.send(.add(transfer))
            }
        } onCancel: {
            loop.send(.cancel(transfer))  // may overtake .add: the loop then refuses it
        }
        return try result.get()
    }

    /// Ends all transfers with `.stopped` and returns when the thread has let go of its connections. Calling it again is harmless.
    public func shutDown() async {
        await withCheckedContinuation { loop.close($0) }
    }
}
