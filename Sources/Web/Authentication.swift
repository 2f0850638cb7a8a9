import HTTPTypes
import Hummingbird
import Logging
import Model
import NIOConcurrencyHelpers
import Rules
import Signature

/// Who may use `/api/admin`: a bearer of the admin key, or a session that was opened with it.
struct Authentication: Sendable {
    private let adminKey: [UInt8]?
    private let sessions: Sessions
    private let trustsProxy: Bool
    private let throttle = NIOLockedValueBox(LoginThrottle())
    /// Apart from the login's: who mistypes the password there must not stop a program that has the key.
    private let bearers = NIOLockedValueBox(LoginThrottle(sparing: .seconds(900)))

    /// - Parameters:
    ///   - adminKey: nil lets nobody in.
    ///   - trustsProxy: whether `X-Forwarded-For` and `-Proto` are believed.
    init(adminKey: String?, sessions: Sessions, trustsProxy: Bool) {
        self.adminKey = adminKey.map { Array($0.utf8) }
        self.sessions = sessions
        self.trustsProxy = trustsProxy
    }

    // MARK: Login

    /// The `Set-Cookie` value of a new session.
    ///
    /// - Throws: `APIError` 401 for a wrong password, 429 for an address that failed too often.
    func logIn(password: String, request: Request, context: AppContext) throws(APIError) -> String {
        let address = address(of: request, context), origin = LoginThrottle.origin(of: address)
        let now = Timestamp.now
        if let wait = throttle.withLockedValue({ $0.wait(of: origin, at: now) }) {
            throw APIError(.tooManyRequests, "too_many_logins", "Too many failed logins; wait before the next", retryAfter: wait)
        }
        guard isKey(password) else {
            throttle.withLockedValue { $0.failed(from: origin, at: now) }
            context.logger.warning("Login failed", metadata: ["address": "\(address)"])
            throw adminKey == nil ? Authentication.noKey : APIError(.unauthorized, "wrong_password", "The password is wrong")
        }
        throttle.withLockedValue { $0.succeeded(from: origin, at: now) }
        return cookie(sessions.issue(at: now), lifetime: Sessions.lifetime, request)
    }

    /// Ends the session that the request comes with.
    ///
    /// - Returns: the `Set-Cookie` value that makes the browser forget it.
    func logOut(_ request: Request) -> String {
        if let cookie = request.cookies[Sessions.cookieName]?.value { sessions.end(cookie, at: .now) }
        return cookie("", lifetime: .zero, request)
    }

    private func cookie(_ value: String, lifetime: Duration, _ request: Request) -> String {
        "\(Sessions.cookieName)=\(value); Path=/; Max-Age=\(lifetime.components.seconds); HttpOnly; SameSite=Strict"
            + (isSecure(request) ? "; Secure" : "")
    }

    private func isSecure(_ request: Request) -> Bool {
        trustsProxy && request.forwarded(.xForwardedProto)?.lowercased() == "https"
    }

    private func address(of request: Request, _ context: AppContext) -> String {
        guard trustsProxy, let forwarded = request.headers[.xForwardedFor]?.split(separator: ",").last else {
            return context.peerAddress
        }
        return String(forwarded.filter { !$0.isWhitespace })
    }

    // MARK: Requests

    static let noKey = APIError(
        .unauthorized, "no_admin_key", "No ADMIN_API_KEY is configured, so nobody can log in: set it and restart the service")

    /// How a new request proves to be allowed in; nil when it does not.
    ///
    /// - Throws: `APIError` 429 for an address from which too many wrong keys came, whatever it sends now.
    func admit(_ request: Request, _ context: AppContext) throws(APIError) -> AppContext.Caller? {
        guard key(in: request) != nil else { return caller(of: request) }
        let address = address(of: request, context), origin = LoginThrottle.origin(of: address)
        let now = Timestamp.now
        if let wait = bearers.withLockedValue({ $0.wait(of: origin, at: now) }) {
            throw APIError(.tooManyRequests, "too_many_guesses", "Too many wrong keys came from your address; wait before the next", retryAfter: wait)
        }
        guard let caller = caller(of: request) else {
            bearers.withLockedValue { $0.failed(from: origin, at: now) }
            context.logger.warning("A wrong key", metadata: ["address": "\(address)"])
            return nil
        }
        bearers.withLockedValue { $0.succeeded(from: origin, at: now) }
        return caller
    }

    /// The same of a request that was admitted: whether it still is.
    func caller(of request: Request) -> AppContext.Caller? {
        if let key = key(in: request) { return isKey(key) ? .key : nil }
        guard adminKey != nil, let cookie = request.cookies[Sessions.cookieName]?.value, sessions.isValid(cookie, at: .now) else {
            return nil
        }
        return .session
    }

    /// The bearer's key, right or wrong. Another scheme is not ours: a proxy in front may want a login of its own.
    private func key(in request: Request) -> String? {
        guard let header = request.headers[.authorization] else { return nil }
        let parts = header.split(separator: " ", maxSplits: 1)
        guard let scheme = parts.first, scheme.lowercased() == "bearer" else { return nil }
        return parts.count == 2 ? String(parts[1].drop { $0 == " " }) : ""
    }

    private func isKey(_ text: String) -> Bool {
        guard let adminKey else { return false }
        return constantTimeEquals(Array(text.utf8), adminKey)
    }
}

/// Lets only authenticated requests through to `/api/admin`.
struct RequireLogin: RouterMiddleware {
    let authentication: Authentication

    func handle(
        _ request: Request, context: AppContext, next: (Request, AppContext) async throws -> Response
    ) async throws -> Response {
        guard let caller = try authentication.admit(request, context) else {
            throw APIError(
                .unauthorized, "unauthorized", "Log in at /admin/login, or send the header Authorization: Bearer <ADMIN_API_KEY>")
        }
        // A browser adds the cookie by itself; another site's page must not be able to use that.
        if caller == .session, request.headers[.secFetchSite]?.lowercased() == "cross-site" {
            throw APIError(.forbidden, "cross_site", "Requests from other sites' pages are refused")
        }
        var context = context
        context.caller = caller
        return try await next(request, context)
    }
}

extension HTTPField.Name {
    static let xForwardedProto = Self("X-Forwarded-Proto")!
    static let xForwardedFor = Self("X-Forwarded-For")!
    static let xForwardedHost = Self("X-Forwarded-Host")!
    static let secFetchSite = Self("Sec-Fetch-Site")!
    static let prefer = Self("Prefer")!
    static let preferenceApplied = Self("Preference-Applied")!
    static let xAccelBuffering = Self("X-Accel-Buffering")!
}
