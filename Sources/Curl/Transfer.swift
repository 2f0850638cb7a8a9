internal import CCurl

/// One request on its way.
///
/// `@unchecked Sendable` is true because it belongs to its caller until it is sent and to the driver's thread after.
final class Transfer: @unchecked Sendable {
    let request: CurlRequest
    /// Taken when it is resumed, so that this happens once.
    var continuation: CheckedContinuation<Result<CurlResponse, CurlError>, Never>?
    /// Set when a cancellation overtook the request.
    var isCancelled = false
    /// The handle while libcurl works on it.
    var easy: UnsafeMutableRawPointer?

    private var headers = CurlHeaders()
    private var body: [UInt8] = []
    private var isTooLarge = false
    private var isHeadComplete = false
    private var headerList: UnsafeMutablePointer<curl_slist>?
    private let reason = UnsafeMutableBufferPointer<CChar>.allocate(capacity: Int(CURL_ERROR_SIZE))

    init(_ request: CurlRequest) {
        self.request = request
        reason.initialize(repeating: 0)
    }

    deinit {
        reason.deallocate()
        curl_slist_free_all(headerList)
    }

    func finish(_ result: Result<CurlResponse, CurlError>) {
        continuation?.resume(returning: result)
        continuation = nil
    }

    // MARK: On the driver's thread

    /// Sets every option of `easy`, a fresh or reset handle. False when the request cannot be sent.
    ///
    /// libcurl calls back with `self` unretained: the driver holds the transfer until it has removed the handle.
    func prepare(_ easy: UnsafeMutableRawPointer) -> Bool {
        let isSecure = request.url.utf8.starts(with: "https:".utf8)
        let words = [request.method, request.url] + request.headers.flatMap { [$0.name, $0.value] }
        guard words.allSatisfy({ !$0.utf8.contains { $0 < 0x20 && $0 != 0x09 } }) else { return false }
        for (name, value) in request.headers {
            // A colon alone would remove the field; a semicolon sends it empty.
            headerList = curl_slist_append(headerList, value.isEmpty ? "\(name);" : "\(name): \(value)")
        }
        headerList = curl_slist_append(headerList, "Expect:")  // a body goes out with its head, in one round trip
        let context = Unmanaged.passUnretained(self).toOpaque()
        var results = [
            hs_curl_set_string(easy, CURLOPT_URL, request.url),
            hs_curl_set_string(easy, CURLOPT_PROTOCOLS_STR, "http,https"),
            hs_curl_set_long(easy, CURLOPT_FOLLOWLOCATION, 0),  // another place must not get the token
            hs_curl_set_long(easy, CURLOPT_PATH_AS_IS, 1),
            hs_curl_set_long(easy, CURLOPT_NOSIGNAL, 1),
            hs_curl_set_long(easy, CURLOPT_HTTP_VERSION, hs_curl_http_2_over_tls),
            hs_curl_set_long(easy, CURLOPT_PIPEWAIT, isSecure ? 1 : 0),  // better a stream of a connection than a second one
            hs_curl_set_long(easy, CURLOPT_TCP_KEEPALIVE, 1),
            hs_curl_set_long(easy, CURLOPT_BUFFERSIZE, 256 * 1024),  // a page of records in one or two reads
            hs_curl_set_string(easy, CURLOPT_ACCEPT_ENCODING, ""),  // every encoding that libcurl was built with
            hs_curl_set_long(easy, CURLOPT_CONNECTTIMEOUT_MS, request.connectTimeout.curlMs),
            hs_curl_set_long(easy, CURLOPT_TIMEOUT_MS, request.timeout.curlMs),
            hs_curl_set_long(easy, CURLOPT_LOW_SPEED_LIMIT, 1),
            hs_curl_set_long(easy, CURLOPT_LOW_SPEED_TIME, max(1, request.stallTimeout.curlMs / 1000)),
            hs_curl_set_list(easy, headerList),
            hs_curl_set_pointer(easy, CURLOPT_ERRORBUFFER, reason.baseAddress),
            hs_curl_set_pointer(easy, CURLOPT_WRITEDATA, context),
            hs_curl_set_pointer(easy, CURLOPT_HEADERDATA, context),
            hs_curl_set_sink(easy, CURLOPT_WRITEFUNCTION) { bytes, size, count, context in
                Transfer.from(context)?.receive(body: UnsafeRawBufferPointer(start: bytes, count: size * count)) ?? 0
            },
            hs_curl_set_sink(easy, CURLOPT_HEADERFUNCTION) { bytes, size, count, context in
                Transfer.from(context)?.receive(header: UnsafeRawBufferPointer(start: bytes, count: size * count)) ?? 0
            },
        ]
        if Transfer.isLoopback(request.url) {
            results.append(hs_curl_set_string(easy, CURLOPT_NOPROXY, "*"))  // a proxy of the environment has another loopback
        }
        if let body = request.body {
            results.append(hs_curl_set_size(easy, CURLOPT_POSTFIELDSIZE_LARGE, curl_off_t(body.count)))
            results.append(body.withUnsafeBytes { hs_curl_set_pointer(easy, CURLOPT_COPYPOSTFIELDS, $0.baseAddress) })
        }
        results.append(hs_curl_set_string(easy, CURLOPT_CUSTOMREQUEST, request.method))
        if request.method == "HEAD" { results.append(hs_curl_set_long(easy, CURLOPT_NOBODY, 1)) }
        return results.allSatisfy { $0 == CURLE_OK }
    }

    /// What became of it, once libcurl is done with `easy`.
    func result(_ code: CURLcode, of easy: UnsafeMutableRawPointer) -> Result<CurlResponse, CurlError> {
        guard code == CURLE_OK else { return .failure(error(code, of: easy)) }
        // libcurl takes the end of the connection within the head for the end of the head.
        guard isHeadComplete else { return .failure(CurlError(.cutShort, "the connection ended within the answer's head")) }
        let status = hs_curl_get_long(easy, CURLINFO_RESPONSE_CODE)
        return .success(CurlResponse(status: status, headers: headers, body: body))
    }

    private func error(_ code: CURLcode, of easy: UnsafeMutableRawPointer) -> CurlError {
        if isTooLarge { return CurlError(.tooLarge, "the answer is longer than \(request.bodyBytesMax) bytes") }
        let kind: CurlError.Kind =
            switch code {
            case CURLE_COULDNT_RESOLVE_HOST, CURLE_COULDNT_RESOLVE_PROXY, CURLE_COULDNT_CONNECT: .connect
            case CURLE_OPERATION_TIMEDOUT: .timeout
            case CURLE_SSL_CONNECT_ERROR, CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_CERTPROBLEM, CURLE_SSL_CIPHER,
                CURLE_SSL_CACERT_BADFILE, CURLE_SSL_ISSUER_ERROR, CURLE_SSL_ENGINE_NOTFOUND, CURLE_SSL_ENGINE_SETFAILED,
                CURLE_SSL_CRL_BADFILE, CURLE_SSL_INVALIDCERTSTATUS, CURLE_USE_SSL_FAILED:
                .tls
            // Also libcurl's word for an answer that is not HTTP.
            case CURLE_UNSUPPORTED_PROTOCOL where hs_curl_get_long(easy, CURLINFO_REQUEST_SIZE) > 0: .cutShort
            case CURLE_URL_MALFORMAT, CURLE_UNSUPPORTED_PROTOCOL, CURLE_BAD_FUNCTION_ARGUMENT, CURLE_UNKNOWN_OPTION: .malformed
            default: .cutShort
            }
        let words = String(cString: curl_easy_strerror(code))
        let detail = String(decoding: reason.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        // libcurl's details name hosts, ports and times there; elsewhere they might quote what was sent.
        let isPlain = kind == .connect || kind == .timeout || kind == .tls
        return CurlError(kind, isPlain && !detail.isEmpty ? "\(words): \(detail)" : words)
    }

    private static func from(_ context: UnsafeMutableRawPointer?) -> Transfer? {
        context.map { Unmanaged<Transfer>.fromOpaque($0).takeUnretainedValue() }
    }

    /// Returning another number than came makes libcurl end the transfer.
    private func receive(body bytes: UnsafeRawBufferPointer) -> Int {
        guard body.count + bytes.count <= request.bodyBytesMax else {
            isTooLarge = true
            return 0
        }
        if body.isEmpty, let length = headers["content-length"].flatMap({ Int($0) }), length > 0 {
            body.reserveCapacity(min(length, request.bodyBytesMax))
        }
        body.append(contentsOf: bytes)
        return bytes.count
    }

    private func receive(header line: UnsafeRawBufferPointer) -> Int {
        if line.starts(with: "HTTP/".utf8) { isHeadComplete = false }
        if line.allSatisfy({ $0 == 0x0D || $0 == 0x0A }) { isHeadComplete = true }
        headers.read(line: line)
        return line.count
    }

    private static func isLoopback(_ url: String) -> Bool {
        ["http://127.", "http://localhost:", "http://localhost/", "http://[::1]"].contains { url.utf8.starts(with: $0.utf8) }
    }
}

extension Duration {
    /// Whole milliseconds, at least one: zero would mean "no limit" to libcurl.
    fileprivate var curlMs: Int {
        let (seconds, attoseconds) = components
        return max(1, Int(clamping: seconds) * 1000 + Int(attoseconds / 1_000_000_000_000_000))
    }
}
