/// One complete HTTP answer, whatever its status; its body is decompressed and as long as the server said.
public struct CurlResponse: Sendable {
    public let status: Int
    public let headers: CurlHeaders
    public let body: [UInt8]

    public init(status: Int, headers: CurlHeaders, body: [UInt8]) {
        self.status = status
        self.headers = headers
        self.body = body
    }
}
