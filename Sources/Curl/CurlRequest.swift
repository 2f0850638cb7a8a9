/// One HTTP request, complete before it is sent.
public struct CurlRequest: Sendable {
    public var method: String
    /// Absolute, `http` or `https`, percent-encoded by the caller.
    public var url: String
    /// Sent as they stand. Values may be secrets: they reach no log and no error.
    public var headers: [(name: String, value: String)]
    public var body: [UInt8]?
    /// From being handed to the driver to the last byte of the answer.
    public var timeout: Duration
    /// At most this long until the connection stands, TLS included.
    public var connectTimeout: Duration
    /// Ends a transfer that moves less than one byte a second for this long.
    public var stallTimeout: Duration
    /// An answer with a longer body, decompressed, is refused.
    public var bodyBytesMax: Int

    public init(
        method: String = "GET", url: String, headers: [(name: String, value: String)] = [], body: [UInt8]? = nil,
        timeout: Duration = .seconds(60), connectTimeout: Duration = .seconds(10), stallTimeout: Duration = .seconds(45),
        bodyBytesMax: Int = 64 << 20
    ) {
        self.method = method
        self.url = url
        self.headers = headers
        self.body = body
        self.timeout = timeout
        self.connectTimeout = connectTimeout
        self.stallTimeout = stallTimeout
        self.bodyBytesMax = bodyBytesMax
    }
}
