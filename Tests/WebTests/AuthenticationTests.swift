import Curl
import Foundation
import Model
import Simulator
import Store
import Sync
import TestSupport
import Testing

@testable import Web

@Suite(.scratchDatabase, .timeLimit(.minutes(2))) struct AuthenticationTests {
    static let admin = "/api/admin/hubspot/sync/runs"

    @Test func onlyTheKeyOpensTheAPI() async throws {
        try await Site.use { site in
            #expect(try await site.send("GET", Self.admin).status == 200)
            let refused: [[(String, String)]] = [
                [], [("Authorization", "Bearer")], [("Authorization", "Bearer ")], [("Authorization", "Bearer \(Site.key)x")],
                [("Authorization", "Bearer \(Site.key.dropLast())")], [("Authorization", "Bearer \(Site.key.uppercased())")],
                [("Authorization", "Bearer " + Site.key.filter { $0 != " " })], [("Authorization", Site.key)],
                [("Authorization", "Basic \(Data(":\(Site.key)".utf8).base64EncodedString())")], [("Cookie", "hubspot_sync_session=\(Site.key)")],
                [("X-Api-Key", Site.key)],
            ]
            for headers in refused {
                let reply = try await site.sendOpenly("GET", Self.admin, headers)
                #expect(reply.isError(401, "unauthorized"), "\(headers)")
                #expect(reply.headers["WWW-Authenticate"] != nil)
            }
            #expect(try await site.sendOpenly("GET", Self.admin, [("authorization", "bearer  \(Site.key)")]).status == 200)
        }
    }

    @Test func everythingBelowTheAPIWantsALoginBeforeItSaysWhatThereIs() async throws {
        try await Site.use { (site: Site) async throws in
            let paths = [
                "/api/admin", "/api/admin/", "/api/admin/nothing", "/api/admin/hubspot", "/api/admin/hubspot/tickets", "/api/admin/hubspot/contacts",
                "/api/admin/hubspot/contacts/1", "/api/admin/hubspot/contacts/1/2/3", "/api/admin/hubspot/sync", "/api/admin/hubspot/sync/all", "/api/admin/hubspot/sync/status",
                "/api/admin/hubspot/sync/runs/x/events", "/api/admin/hubspot/%2e%2e/x", "/api/admin/../admin/hubspot/deals", "//api//admin/hubspot/deals",
            ]
            for path in paths {
                for method in ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"] {
                    #expect(try await site.sendOpenly(method, path).isError(401, "unauthorized"), "\(method) \(path)")
                }
                #expect(try await site.sendOpenly("HEAD", path).status == 401, "HEAD \(path)")
            }
            #expect(try await site.bench.runs.latest(limit: 10).isEmpty)
            for path in ["/api/admin/nothing", "/api/admin/hubspot/tickets", "/api/admin/hubspot/contacts/1/2/3", "/nothing", "/api", "/%00", "/..%2f"] {
                #expect(try await site.send("GET", path).isError(404, "not_found"), "\(path)")
            }
        }
    }

    @Test func aSessionIsOpenedAndEnded() async throws {
        try await Site.use { site in
            let reply = try await site.sendOpenly("POST", "/api/admin/login", body: #"{"user":7,"password":"\#(Site.key)"}"#)
            #expect(reply.status == 200)
            let cookie = try #require(reply.headers["Set-Cookie"])
            for word in ["hubspot_sync_session=", "; Path=/", "; HttpOnly", "; SameSite=Strict", "; Max-Age="] { #expect(cookie.contains(word)) }
            #expect(!cookie.contains("; Secure"))
            let session = try await site.logIn()
            #expect(try await site.sendOpenly("GET", Self.admin, [session]).status == 200)
            let out = try await site.sendOpenly("POST", "/api/admin/logout", [session])
            #expect(out.status == 200 && out.headers["Set-Cookie"]?.contains("Max-Age=0") == true)
        }
    }

    @Test func behindATrustedProxyTheCookieIsForTLSOnly() async throws {
        try await Site.use(settings: { $0.trustsProxy = true }) { site in
            // What the client used stands first, when each of two proxies says what it was asked by.
            for (scheme, isSecure) in [("https", true), ("http", false), ("HTTPS, http", true), ("http, https", false)] {
                let reply = try await site.sendOpenly(
                    "POST", "/api/admin/login", [("X-Forwarded-Proto", scheme)], body: #"{"password":"\#(Site.key)"}"#)
                #expect(reply.headers["Set-Cookie"]?.contains("; Secure") == isSecure)
            }
        }
    }

    @Test func aCookieThatWasNotIssuedHereOrHasEndedIsRefused() async throws {
        try await Site.use(settings: { $0.sessionSecret = "a secret" }) { site in
            let (name, cookie) = try await site.logIn()
            let (session, value) = (cookie.prefix { $0 != "=" }, cookie.drop { $0 != "=" }.dropFirst())
            #expect(try await site.sendOpenly("GET", Self.admin, [(name, "theme=dark; \(cookie); x=y")]).status == 200)
            let parts = value.split(separator: ".").map(String.init)
            let later = String((Int64(parts[0]) ?? 0) + 1)
            let expired = try Sessions(secret: "a secret").issue(at: .now - .seconds(12 * 3600 + 1))
            let foreign = try Sessions(secret: "another secret").issue(at: .now)
            let values = [
                "", ".", "..", later + "." + parts.dropFirst().joined(separator: "."), String(value.dropLast(2)), value + "A", "x" + value, expired, foreign,
                String(repeating: "a", count: 5000),
            ]
            for value in values {
                #expect(try await site.sendOpenly("GET", Self.admin, [(name, "\(session)=\(value)")]).isError(401, "unauthorized"), "\(value.prefix(80))")
            }
            let own = try Sessions(secret: "a secret").issue(at: .now)
            #expect(try await site.sendOpenly("GET", Self.admin, [(name, "\(session)=\(own)")]).status == 200)
        }
    }

    /// A browser sends the cookie by itself, so another site's page must not be able to start a sync with a picture's address.
    @Test func anotherSitesPageCannotUseTheCookie() async throws {
        try await Site.use { site in
            let session = try await site.logIn()
            let sync = "/api/admin/hubspot/sync/deals?limit=1"
            #expect(try await site.sendOpenly("GET", sync, [session, ("Sec-Fetch-Site", "cross-site")]).isError(403, "cross_site"))
            #expect(try await site.bench.runs.latest(limit: 10).isEmpty)
            for place in ["same-origin", "none", "same-site"] {
                #expect(try await site.sendOpenly("GET", sync, [session, ("Sec-Fetch-Site", place)]).status == 200)
            }
            #expect(try await site.send("GET", sync, [("Sec-Fetch-Site", "cross-site")]).status == 200)
        }
    }

    @Test func failedLoginsAreSlowedDown() async throws {
        try await Site.use { site in
            func attempt(_ password: String) async throws -> Reply {
                try await site.sendOpenly("POST", "/api/admin/login", body: #"{"password":"\#(password)"}"#)
            }
            for _ in 0..<5 { #expect(try await attempt("guess").isError(401, "wrong_password")) }
            let reply = try await attempt(Site.key)
            #expect(reply.isError(429, "too_many_logins"))
            #expect(reply.headers["Retry-After"].flatMap(Int.init).map { $0 >= 1 } == true)
            let form = try await site.sendOpenly(
                "POST", "/admin/login", [("Content-Type", "application/x-www-form-urlencoded")], body: "password=guess")
            #expect(form.status == 429 && form.headers["Retry-After"] != nil && form.text.contains("Too many failed logins"))
            // The key itself is not a guess.
            #expect(try await site.send("GET", Self.admin).status == 200)
        }
    }

    /// Who guesses has to wait, whatever it sends next; who knows the key does not notice.
    @Test func wrongKeysAreSlowedDown() async throws {
        try await Site.use(settings: { $0.trustsProxy = true }) { site in
            func attempt(_ key: String, from address: String, _ path: String = Self.admin) async throws -> Reply {
                try await site.sendOpenly("GET", path, [("Authorization", "Bearer \(key)"), ("X-Forwarded-For", address)])
            }
            #expect(try await attempt(Site.key, from: "192.0.2.1").status == 200)
            for _ in 0..<5 { #expect(try await attempt("guess", from: "2001:db8::1").isError(401, "unauthorized")) }
            // The same network, on a page and with the key too.
            for (key, path) in [("guess", Self.admin), (Site.key, Self.admin), (Site.key, "/admin")] {
                let reply = try await attempt(key, from: "2001:db8::2", path)
                #expect(reply.isError(429, "too_many_guesses"))
                #expect(reply.headers["Retry-After"].flatMap(Int.init).map { $0 >= 1 } == true)
            }
            #expect(try await attempt(Site.key, from: "2001:db8:0:1::1").status == 200)
            // A program that has the key is not shut out by those who share its address.
            for _ in 0..<20 { #expect(try await attempt("guess", from: "192.0.2.1").status == 401) }
            #expect(try await attempt(Site.key, from: "192.0.2.1").status == 200)
            // Neither is a login, nor does what has no key count as a guess.
            for _ in 0..<10 { #expect(try await site.sendOpenly("GET", Self.admin, [("X-Forwarded-For", "192.0.2.3")]).status == 401) }
            #expect(try await attempt(Site.key, from: "192.0.2.3").status == 200)
            let login = try await site.sendOpenly(
                "POST", "/api/admin/login", [("X-Forwarded-For", "2001:db8::1")], body: #"{"password":"\#(Site.key)"}"#)
            #expect(login.status == 200)
        }
    }

    /// A proxy in front may want a login of its own, which a browser then sends to us too.
    @Test func anotherSchemeNeitherHidesTheCookieNorIsAWrongKey() async throws {
        try await Site.use { site in
            let session = try await site.logIn(), basic = ("Authorization", "Basic dXNlcjpwYXNzd29yZA==")
            for _ in 0..<10 { #expect(try await site.sendOpenly("GET", Self.admin, [basic]).isError(401, "unauthorized")) }
            #expect(try await site.sendOpenly("GET", Self.admin, [basic, session]).status == 200)
            #expect(try await site.sendOpenly("GET", Self.admin, [("Authorization", "Bearer guess"), session]).isError(401, "unauthorized"))
            #expect(try await site.send("GET", Self.admin).status == 200)
        }
    }

    @Test func withoutAKeyNobodyComesIn() async throws {
        try await Site.use(settings: { $0.adminKey = nil }) { (site: Site) async throws in
            for headers in [[], [("Authorization", "Bearer ")], [("Authorization", "Bearer x")]] {
                #expect(try await site.sendOpenly("GET", Self.admin, headers).isError(401, "unauthorized"))
            }
            for password in ["", "x"] {
                #expect(try await site.sendOpenly("POST", "/api/admin/login", body: #"{"password":"\#(password)"}"#).isError(401, "no_admin_key"))
            }
            #expect(try await site.sendOpenly("GET", "/health/live").status == 200)
        }
    }

    @Test(arguments: ["", "null", "[]", "{}", #"{"password":7}"#, #"{"password":null}"#, #"{"password":"x""#, "password=x", "\u{0}"])
    func aBodyThatIsNoLoginIsSaidSo(body: String) async throws {
        try await Site.use { (site: Site) async throws in
            #expect(try await site.sendOpenly("POST", "/api/admin/login", body: body).isError(400, "bad_body"))
            #expect(try await site.sendOpenly("POST", "/api/admin/login", body: String(repeating: " ", count: 5000)).isError(413, "body_too_large"))
        }
    }
}
