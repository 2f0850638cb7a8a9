import Curl
import Foundation
import Model
import TestSupport
import Testing

@testable import Web

/// What is tried against web services, beside what the tests of the single routes try.
@Suite(.scratchDatabase, .timeLimit(.minutes(2))) struct AttackTests {
    private static let runs = "/api/admin/hubspot/sync/runs"

    /// A session that somebody else chose before the login is not the one after it.
    @Test func aSessionCannotBeFixed() async throws {
        try await Site.use(settings: { $0.sessionSecret = "a secret" }) { site in
            let planted = ("Cookie", "hubspot_sync_session=planted")
            let reply = try await site.sendOpenly("POST", "/api/admin/login", [planted], body: #"{"password":"\#(Site.key)"}"#)
            let cookie = try #require(reply.headers["Set-Cookie"])
            #expect(reply.status == 200 && !cookie.contains("planted"))
            #expect(try await site.sendOpenly("GET", Self.runs, [planted]).isError(401, "unauthorized"))
            // Nor does a login give out one that exists.
            let first = try await site.logIn(), second = try await site.logIn()
            #expect(first.1 != second.1)
            #expect(try await site.sendOpenly("POST", "/api/admin/logout", [first]).status == 200)
            #expect(try await site.sendOpenly("GET", Self.runs, [second]).status == 200)
        }
    }

    /// Where a login leads to is not for the request to say.
    @Test(arguments: ["next", "url", "redirect", "return", "returnTo", "continue"]) func noRedirectLeadsAway(name: String) async throws {
        try await Site.use { site in
            let target = "?\(name)=https://evil.example/&\(name)=//evil.example"
            for (method, path, body) in [("GET", "/\(target)", ""), ("GET", "/admin\(target)", ""), ("POST", "/admin/login\(target)", "password=\(Site.key)&\(name)=//evil.example")] {
                let reply = try await site.sendOpenly(
                    method, path, [("Content-Type", "application/x-www-form-urlencoded"), ("Host", "evil.example"), ("X-Forwarded-Host", "evil.example")], body: body.isEmpty ? nil : body)
                let location = reply.headers["Location"] ?? ""
                #expect(location.isEmpty || location.hasPrefix("/") && !location.hasPrefix("//") && !location.contains("evil"), "\(path): \(location)")
            }
        }
    }

    /// Line breaks in what comes back in a header stay out of it.
    @Test(arguments: [
        "/admin/records?q=%0d%0aSet-Cookie:%20evil=1", "/admin/records?sort=%0d%0aSet-Cookie:%20evil=1", "/%0d%0aSet-Cookie:%20evil=1",
        "/api/admin/hubspot/sync/runs/%0d%0aSet-Cookie:%20evil=1", "/api/admin/hubspot/contacts?after=%0d%0aSet-Cookie:%20evil=1",
        "/api/admin/hubspot/sync/contacts%0d%0aSet-Cookie:%20evil=1?wait=false", "/admin?notice=%0d%0aSet-Cookie:%20evil=1",
    ])
    func noHeaderCanBeInjected(path: String) async throws {
        try await Site.use { site in
            let session = try await site.logIn()
            let reply = try await site.sendOpenly("GET", path, [session])
            #expect(reply.headers["Set-Cookie"] == nil && reply.status < 500)
            for (name, value) in reply.headers.fields { #expect(!value.contains { $0.isNewline }, "\(name)") }
        }
    }

    /// An operator in a body is no value: refused, and nobody is let in.
    @Test(arguments: [
        #"{"password":{"$ne":""}}"#, #"{"password":{"$gt":""}}"#, #"{"password":["x"]}"#, #"{"password":true}"#, #"{"$where":"1","password":{"$regex":".*"}}"#,
        #"{"password":{"$numberLong":"1"}}"#,
    ])
    func anOperatorInABodyIsNoValue(body: String) async throws {
        try await Site.use { site in
            #expect(try await site.sendOpenly("POST", "/api/admin/login", body: body).isError(400, "bad_body"))
            let session = try await site.logIn()
            for path in ["webhooks/replay", "tasks/retry", "verify", "sync/contacts?limit=1"] {
                let reply = try await site.sendOpenly("POST", "/api/admin/hubspot/\(path)", [session, ("Content-Type", "application/json")], body: body)
                #expect(reply.status < 500, "\(path): \(reply.text)")
            }
        }
    }

    /// Other spellings of a path lead nowhere, and never around the login.
    @Test(arguments: [
        "/admin/..%2fapi/admin/hubspot/contacts", "/admin/%2e%2e/%2e%2e/etc/passwd", "/..%2f..%2fetc%2fpasswd", "/api/admin%2fhubspot%2fcontacts",
        "/API/ADMIN/HUBSPOT/CONTACTS", "/api/admin/hubspot/contacts%00", "/api/admin/hubspot/contacts/%00", "/api/admin/hubspot/contacts/..%2f..%2fstatus",
        "/api/admin/hubspot/contacts;x=1", "/api/./admin/hubspot/contacts", "//api/admin/hubspot/contacts", "/api/admin//hubspot//contacts",
        "/health/live/../../api/admin/hubspot/contacts", "/%c0%ae%c0%ae/%c0%afetc", "/api/%61dmin/hubspot/contacts", "/admin/app.css/..%2f..%2fx", "/admin/%ff",
        "/metrics/../api/admin/hubspot/contacts", "/api/webhooks/hubspot/../../admin/hubspot/contacts", "/\(String(repeating: "a/", count: 4_000))",
    ])
    func noPathLeadsAroundTheLogin(path: String) async throws {
        try await Site.use { site in
            try await site.sync("contacts?limit=5")
            for method in ["GET", "POST", "DELETE"] {
                let answer = try await onThread {
                    // By hand: a client would tidy it up.
                    let connection = try WebhookConnection(port: Int(site.url.split(separator: ":").last ?? "") ?? 0)
                    connection.send(Array("\(method) \(path) HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n".utf8))
                    return try connection.answer()
                }
                let status = answer?.status ?? 0
                #expect([303, 400, 401, 404, 405].contains(status), "\(method) \(path): \(status)")
                let text = String(decoding: answer?.body ?? [], as: UTF8.self)
                #expect(!text.contains("hubspotId"), "\(method) \(path)")
            }
        }
    }
}
