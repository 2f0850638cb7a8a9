/// Who brings requests to a server and answers back: `CurlDriver`, or a test that answers itself.
public protocol HTTPSender: Sendable {
    /// Sends one request and waits for its complete answer, of whatever status.
    func send(_ request: CurlRequest) async throws(CurlError) -> CurlResponse
}
