import Bytes
import Hummingbird
import Logging

/// Opening and closing a session.
struct LoginRoutes {
    static let bodyMax = 4096

    let authentication: Authentication

    func add(to router: Router<AppContext>) {
        router.post("/api/admin/login") { request, context in
            let body = try await request.body.collect(upTo: LoginRoutes.bodyMax)
            let password = try LoginRoutes.password(in: Array(body.readableBytesView))
            let cookie = try authentication.logIn(password: password, request: request, context: context)
            var response = Response.json { $0.object { $0.member("success", true) } }
            response.headers[.setCookie] = cookie
            return response
        }
        router.post("/api/admin/logout") { request, _ in
            var response = Response.json { $0.object { $0.member("success", true) } }
            response.headers[.setCookie] = authentication.logOut(request)
            return response
        }
    }

    /// The `password` of a JSON object.
    private static func password(in body: [UInt8]) throws(APIError) -> String {
        do {
            var json = JSONReader(body)
            var password: String?
            try json.enterObject()
            while let key = try json.nextKey() {
                if json.matches(key, "password") { password = try json.stringOrSkip() } else { try json.skip() }
            }
            try json.finish()
            if let password { return password }
        } catch {
            // Falls through to the same answer.
        }
        throw APIError(.badRequest, "bad_body", "The body must be JSON of the form {\"password\": \"…\"}")
    }
}
