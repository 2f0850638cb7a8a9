import Curl
import Foundation
import Model
import Simulator
import Store
import Sync
import TestSupport
import Testing

@testable import Web

@Suite(.scratchDatabase, .timeLimit(.minutes(2))) struct AdminPagesTests {
    @Test func aStrangerIsLedToTheLogin() async throws {
        try await Site.use { site in
            for (path, place) in [("/", "/admin"), ("/admin", "/admin/login")] {
                let reply = try await site.sendOpenly("GET", path)
                #expect(reply.status == 303 && reply.headers["Location"] == place)
            }
            let page = try await site.sendOpenly("GET", "/admin/login")
            #expect(page.status == 200 && page.text.contains("<form method=\"post\" action=\"/admin/login\">") && !page.text.contains("role=\"alert\""))
        }
    }

    @Test func theFormOpensASession() async throws {
        try await Site.use { site in
            let form = [("Content-Type", "application/x-www-form-urlencoded")]
            let wrong = try await site.sendOpenly("POST", "/admin/login", form, body: "password=%3Cscript%3E")
            #expect(wrong.status == 401 && wrong.text.contains("The password is wrong") && !wrong.text.contains("<script"))
            #expect(try await site.sendOpenly("POST", "/admin/login", form, body: "nothing").status == 401)
            // As a browser encodes the key.
            let encoded = Site.key.replacing("+", with: "%2B").replacing("/", with: "%2F").replacing(" ", with: "+")
            let reply = try await site.sendOpenly("POST", "/admin/login", form, body: "user=x&password=\(encoded)")
            #expect(reply.status == 303 && reply.headers["Location"] == "/admin")
            let session = ("Cookie", String(try #require(reply.headers["Set-Cookie"]).prefix { $0 != ";" }))
            #expect(try await site.sendOpenly("GET", "/admin", [session]).status == 200)
            let out = try await site.sendOpenly("POST", "/admin/logout", [session])
            #expect(out.status == 303 && out.headers["Location"] == "/admin/login" && out.headers["Set-Cookie"]?.contains("Max-Age=0") == true)
        }
    }

    @Test func theOverviewShowsCountsAndRuns() async throws {
        try await Site.use { site in
            try await site.sync("all?limit=37")
            let page = try await site.sendOpenly("GET", "/admin", [try await site.logIn()])
            #expect(page.status == 200)
            for text in ["contacts", "companies", "deals", ">37<", "succeeded", ">111<"] { #expect(page.text.contains(text), "\(text)") }
            #expect(!page.text.contains("{{") && !page.text.contains("cannot be reached"))
        }
    }

    /// Ids and names of runs come from the database, which others can write to.
    @Test func valuesAreEscaped() async throws {
        try await Site.use { site in
            let template = try #require(try? AdminPages(
                authentication: Authentication(adminKey: nil, sessions: try Sessions(secret: nil), trustsProxy: false),
                mirror: site.bench.store.mirror, runs: site.bench.runs))
            #expect(template.loginPage(error: "<script>alert(\"1\")</script>&").contains("&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&amp;"))
        }
    }

    @Test func pagesAreGuarded() async throws {
        try await Site.use { site in
            let session = try await site.logIn()
            for (path, headers) in [("/admin/login", []), ("/admin", [session])] {
                let page = try await site.sendOpenly("GET", path, headers)
                #expect(page.headers["Content-Type"] == "text/html; charset=utf-8")
                #expect(page.headers["Content-Security-Policy"]?.hasPrefix("default-src 'none'") == true)
                #expect(page.headers["Content-Security-Policy"]?.contains("frame-ancestors 'none'") == true)
                #expect(page.headers["X-Content-Type-Options"] == "nosniff" && page.headers["Cache-Control"] == "no-store")
                #expect(page.headers["Referrer-Policy"] == "same-origin")
                #expect(!page.text.contains(Site.key) && !page.text.contains("<script"))
            }
        }
    }

    @Test func withoutMongoDBThePageSaysSo() async throws {
        try await Site.use(database: try .away()) { site in
            let page = try await site.sendOpenly("GET", "/admin", [try await site.logIn()])
            #expect(page.status == 200 && page.text.contains("MongoDB cannot be reached"))
        }
    }
}
