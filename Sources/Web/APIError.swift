import Bytes
import HTTPTypes
import Hummingbird
import Model

/// An answer that says what is wrong and what to do, in the form that every error of the service has.
struct APIError: Error, Sendable {
    let status: HTTPResponse.Status
    /// Machine-readable, stable.
    let code: String
    /// For people; never a stack, a URI with credentials or a token.
    let message: String
    var retryAfter: Duration?
    /// The methods that the path has, for a 405.
    var allowed: [HTTPRequest.Method] = []

    init(_ status: HTTPResponse.Status, _ code: String, _ message: String, retryAfter: Duration? = nil) {
        self.status = status
        self.code = code
        self.message = message
        self.retryAfter = retryAfter
    }

    /// A query parameter or body field with a value that cannot be used.
    static func badValue(of name: String, _ expected: String) -> Self {
        APIError(.badRequest, "bad_parameter", "\(name) must be \(expected)")
    }

    /// A method that the path does not have.
    static func notAllowed(but methods: [HTTPRequest.Method]) -> Self {
        let names = methods.map(\.rawValue).joined(separator: ", ")
        var error = APIError(.methodNotAllowed, "method_not_allowed", "This path does not take that method; it takes \(names)")
        error.allowed = methods
        return error
    }

    /// - Parameter requestID: what the log calls this request.
    func response(requestID: String) -> Response {
        let (headers, bytes) = parts(requestID: requestID)
        return Response(status: status, headers: headers, body: ResponseBody(byteBuffer: ByteBuffer(bytes: bytes)))
    }

    private func parts(requestID: String?) -> (headers: HTTPFields, body: [UInt8]) {
        var json = JSONWriter(capacity: 256)
        json.object { json in
            json.member("success", false)
            json.member("error", message)
            json.member("code", code)
            if let requestID { json.member("requestId", requestID) }
        }
        return (self.headers(.json), json.finish())
    }

    /// The answer to what became no request, after which the connection ends.
    var alone: (head: HTTPResponse, body: ByteBuffer) {
        var (headers, bytes) = parts(requestID: nil)
        headers[.contentLength] = String(bytes.count)
        headers[.connection] = "close"
        return (HTTPResponse(status: status, headerFields: headers), ByteBuffer(bytes: bytes))
    }

    /// These and what the error adds to them.
    func headers(_ headers: HTTPFields) -> HTTPFields {
        var headers = headers
        if let retryAfter { headers[.retryAfter] = String(max(1, (retryAfter.milliseconds + 999) / 1000)) }
        if !allowed.isEmpty { headers[.allow] = allowed.map(\.rawValue).joined(separator: ", ") }
        if status == .unauthorized { headers[.wwwAuthenticate] = "Bearer realm=\"hubspot-sync\"" }
        return headers
    }
}

extension Response {
    /// A JSON answer that no cache keeps: it holds personal data or the state of a moment.
    ///
    /// - Parameter capacity: about how many bytes it will have.
    static func json(
        _ status: HTTPResponse.Status = .ok, capacity: Int = 1024, _ write: (inout JSONWriter) throws -> Void
    ) rethrows -> Response {
        var json = JSONWriter(capacity: capacity)
        try write(&json)
        return .json(status, unsafe json.finish { unsafe ByteBuffer(bytes: $0) })
    }

    static func json(_ status: HTTPResponse.Status = .ok, _ bytes: [UInt8]) -> Response { .json(status, ByteBuffer(bytes: bytes)) }

    static func json(_ status: HTTPResponse.Status = .ok, _ bytes: ByteBuffer) -> Response {
        Response(status: status, headers: .json, body: ResponseBody(byteBuffer: bytes))
    }
}

extension HTTPFields {
    fileprivate static let json: HTTPFields = [.contentType: "application/json; charset=utf-8", .cacheControl: "no-store"]
}
