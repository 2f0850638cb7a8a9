import Bytes
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
    static let form = ("Content-Type", "application/x-www-form-urlencoded")
    static let pages = ["/admin", "/admin/records", "/admin/records?q=a", "/admin/records?type=deals&status=error", "/admin/deliveries"]
    static let forms = ["/admin/sync", "/admin/runs/x/cancel", "/admin/retry", "/admin/replay"]

    // MARK: Who is let in

    @Test func aStrangerIsLedToTheLogin() async throws {
        try await Site.use { site in
            #expect(try await site.sendOpenly("GET", "/").headers["Location"] == "/admin")
            for path in Self.pages + ["/admin/records/contacts/1"] {
                let reply = try await site.sendOpenly("GET", path)
                #expect(reply.status == 303 && reply.headers["Location"] == "/admin/login" && reply.body.isEmpty, "\(path)")
            }
            for path in Self.forms {
                let reply = try await site.sendOpenly("POST", path, [Self.form], body: "scope=all&id=x")
                #expect(reply.status == 303 && reply.headers["Location"] == "/admin/login", "\(path)")
            }
            #expect(try await site.bench.runs.latest(limit: 10).isEmpty)
            for path in ["/admin/events", "/api/admin/hubspot/status/events", "/api/admin/hubspot/failures"] {
                #expect(try await site.sendOpenly("GET", path).isError(401, "unauthorized"), "\(path)")
            }
            let page = try await site.sendOpenly("GET", "/admin/login")
            #expect(page.status == 200 && page.text.contains("<form method=\"post\" action=\"/admin/login\">") && !page.text.contains("role=\"alert\""))
        }
    }

    @Test func theFormOpensASession() async throws {
        try await Site.use { site in
            let wrong = try await site.sendOpenly("POST", "/admin/login", [Self.form], body: "password=%3Cb%3E")
            #expect(wrong.status == 401 && wrong.text.contains("The password is wrong") && !wrong.text.contains("<b>"))
            #expect(try await site.sendOpenly("POST", "/admin/login", [Self.form], body: "nothing").status == 401)
            // As a browser encodes the key.
            let encoded = Site.key.replacing("+", with: "%2B").replacing("/", with: "%2F").replacing(" ", with: "+")
            let reply = try await site.sendOpenly("POST", "/admin/login", [Self.form], body: "user=x&password=\(encoded)")
            #expect(reply.status == 303 && reply.headers["Location"] == "/admin")
            let session = ("Cookie", String(try #require(reply.headers["Set-Cookie"]).prefix { $0 != ";" }))
            #expect(try await site.sendOpenly("GET", "/admin", [session]).status == 200)
            let out = try await site.sendOpenly("POST", "/admin/logout", [session])
            #expect(out.status == 303 && out.headers["Location"] == "/admin/login" && out.headers["Set-Cookie"]?.contains("Max-Age=0") == true)
            // The cookie that was left is worth nothing, wherever it is.
            #expect(try await site.sendOpenly("GET", "/admin", [session]).status == 303)
            #expect(try await site.sendOpenly("GET", "/api/admin/hubspot/failures", [session]).status == 401)
        }
    }

    @Test func formsOfOtherSitesAreRefused() async throws {
        try await Site.use { site in
            let session = try await site.logIn()
            let foreign: [[(String, String)]] = [
                [("Sec-Fetch-Site", "cross-site")], [("Sec-Fetch-Site", "same-site")], [("Origin", "https://evil.example")], [("Origin", "null")],
            ]
            for headers in foreign {
                for path in Self.forms {
                    let reply = try await site.sendOpenly("POST", path, [Self.form, session] + headers, body: "scope=deals")
                    #expect(reply.status == 403 && reply.text.contains("other sites"), "\(headers) \(path)")
                }
            }
            #expect(try await site.bench.runs.latest(limit: 10).isEmpty)
            let own = [("Sec-Fetch-Site", "same-origin"), ("Origin", site.url)]
            #expect(try await site.sendOpenly("POST", "/admin/sync", [Self.form, session] + own, body: "scope=deals").status == 303)
            #expect(try await site.sendOpenly("POST", "/admin/sync", [Self.form, session, ("Origin", site.url)], body: "scope=deals").status == 303)
        }
    }

    // MARK: What they are made of

    @Test func pagesAreGuarded() async throws {
        try await Site.use { site in
            try await site.sync("all?limit=20")
            let session = try await site.logIn()
            let record = "/admin/records/contacts/\(site.bench.simulator.world.seededId(.contacts, 0))"
            for path in ["/admin/login", record, "/admin/records/contacts/404", "/admin/records/x/1", "/admin/records?status=x"] + Self.pages {
                let page = try await site.sendOpenly("GET", path, [session])
                #expect(page.headers["Content-Type"] == "text/html; charset=utf-8", "\(path)")
                let policy = try #require(page.headers["Content-Security-Policy"])
                for rule in ["default-src 'none'", "script-src 'self'", "style-src 'self'", "form-action 'self'", "frame-ancestors 'none'", "base-uri 'none'"] {
                    #expect(policy.contains(rule), "\(path)")
                }
                #expect(!policy.contains("unsafe") && !policy.contains("http") && !policy.contains("*"))
                #expect(page.headers["X-Content-Type-Options"] == "nosniff" && page.headers["Cache-Control"] == "no-store")
                #expect(page.headers["Referrer-Policy"] == "same-origin" && page.headers["Cross-Origin-Opener-Policy"] == "same-origin")
                #expect(!page.text.contains(Site.key) && !page.text.contains(session.1.dropFirst(30)), "\(path) tells a secret")
                #expect(!page.text.contains("{{") && page.text.contains("<main id=\"main\"") && page.text.contains("<html lang=\"en\">"), "\(path)")
                // Nothing that the policy would refuse, and nothing from elsewhere.
                #expect(page.text.firstMatch(of: /<script(?![^>]*\ssrc="\/admin\/)|<style|\son[a-z]+=|\sstyle=|javascript:/) == nil, "\(path)")
                #expect(page.text.firstMatch(of: /(src|href|action)="(?!\/|#|\?|https:\/\/app[a-z0-9-]*\.hubspot\.com\/)/) == nil, "\(path)")
            }
        }
    }

    @Test func assetsAreKeptUntilTheyChange() async throws {
        try await Site.use { site in
            for (path, type) in [("page.css", "text/css; charset=utf-8"), ("page.js", "text/javascript; charset=utf-8"), ("icon.svg", "image/svg+xml")] {
                let first = try await site.sendOpenly("GET", "/admin/\(path)")
                #expect(first.status == 200 && first.headers["Content-Type"] == type && !first.body.isEmpty && first.headers["X-Content-Type-Options"] == "nosniff")
                let tag = try #require(first.headers["ETag"])
                for known in [tag, "W/\(tag)", "\"x\", \(tag)", "*"] {
                    let again = try await site.sendOpenly("GET", "/admin/\(path)", [("If-None-Match", known)])
                    #expect(again.status == 304 && again.body.isEmpty && again.headers["ETag"] == tag, "\(known)")
                }
                #expect(try await site.sendOpenly("GET", "/admin/\(path)", [("If-None-Match", "\"x\"")]).status == 200)
            }
        }
    }

    /// Names, messages and properties come from HubSpot, where others write them. A combining accent behind a quote makes one character of
    /// both to a reader, but not to a browser.
    @Test func everyValueIsEscaped() async throws {
        let hostile = "\"\u{301} onfocus=alert(1) x='<script>alert(1)</script>&amp;<\u{301}b>"
        let escaped = "&quot;\u{301} onfocus=alert(1) x=&#39;&lt;script&gt;alert(1)&lt;/script&gt;&amp;amp;&lt;\u{301}b&gt;"
        try await Site.use { site in
            let store = site.bench.store
            try await store.writer.write(
                [
                    .sample(
                        .companies, id: "7", fields: ["name": .text(hostile), "domain": .text(hostile), "city": .text(hostile)],
                        properties: ["name": hostile, hostile: "x"])
                ], of: .companies, at: .now)
            try await store.writer.recordFailure(.companies, "7", message: hostile)
            var event = WebhookEvent(subscriptionType: hostile)
            event.type = .companies
            event.objectId = "7"
            event.propertyName = hostile
            event.verb = .propertyChange
            try await store.inbox.append(
                [(Delivery(id: "1\(hostile)", receivedAt: .now, signature: "v3", events: [event]), leaseUntil: Timestamp.now + .seconds(60))], owner: "other")
            let session = try await site.logIn()
            let query = hostile.formEncoded
            for path in ["/admin", "/admin/records?type=companies", "/admin/records/companies/7", "/admin/deliveries", "/admin/records?q=\(query)", "/admin/records?type=\(query)"] {
                let page = try await site.sendOpenly("GET", path, [session]).text
                #expect(Array(page.utf8).firstRange(of: Array(escaped.utf8)) != nil || path.contains("?type=%"), "\(path)")
                // Scalars are what a browser reads.
                let scalars = page.unicodeScalars.map { $0.value == 0x301 ? "" : String($0) }.joined()
                #expect(!scalars.contains("<script>alert") && !scalars.contains("\" onfocus") && !scalars.contains("' onfocus") && !scalars.contains("<b>"), "\(path)")
            }
        }
    }

    /// The contrast of every text on its background, computed as WCAG 2 does, is at least 4.5 to 1 by day and by night.
    @Test func coloursAreFarEnoughApart() throws {
        let css = String(decoding: Web.PackageResources.page_css, as: UTF8.self)
        let themes = css.components(separatedBy: "prefers-color-scheme: dark").prefix(2).map { part in
            Dictionary(part.matches(of: /--([a-z-]+): (#[0-9a-f]{6});/).map { (String($0.output.1), String($0.output.2)) }, uniquingKeysWith: { first, _ in first })
        }
        #expect(themes.count == 2 && Set(themes[0].keys) == Set(themes[1].keys) && themes[0].count > 12)
        var pairs: [(String, String)] = [("on-accent", "accent"), ("text", "track")]
        for front in ["text", "quiet", "accent", "good", "warn", "bad"] { pairs += [(front, "ground"), (front, "panel")] }
        for level in ["good", "warn", "bad"] { for front in [level, "text", "accent"] { pairs.append((front, level + "-tint")) } }
        for theme in themes {
            for (front, back) in pairs {
                let contrast = try contrast(#require(theme[front]), #require(theme[back]))
                #expect(contrast >= 4.5, "\(front) on \(back): \(contrast)")
            }
            // What is no text but has to be seen.
            #expect(try contrast(#require(theme["bar"]), #require(theme["panel"])) >= 3)
            #expect(try contrast(#require(theme["quiet"]), #require(theme["panel"])) >= 3)
        }
        // Every colour has a name.
        let rules = css.components(separatedBy: "*, ::before").dropFirst().joined()
        #expect(rules.firstMatch(of: /#[0-9a-f]{3,8}\b|rgb|hsl/) == nil)
        #expect(css.contains("prefers-reduced-motion") && css.contains(":focus-visible"))
        #expect(css.firstMatch(of: /url\(|@import/) == nil)
    }

    private func contrast(_ a: String, _ b: String) -> Double {
        func luminance(_ colour: String) -> Double {
            let value = Int(colour.dropFirst(), radix: 16) ?? 0
            let parts = [16, 8, 0].map { shift -> Double in
                let part = Double((value >> shift) & 255) / 255
                return part <= 0.04045 ? part / 12.92 : pow((part + 0.055) / 1.055, 2.4)
            }
            return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]
        }
        let (low, high) = (min(luminance(a), luminance(b)), max(luminance(a), luminance(b)))
        return (high + 0.05) / (low + 0.05)
    }

    // MARK: What they show

    @Test func theOverviewShowsCountsAndRuns() async throws {
        try await Site.use { site in
            try await site.sync("all?limit=37")
            let session = try await site.logIn()
            try await eventually { try await site.sendOpenly("GET", "/admin", [session]).text.contains("All is well: 111 records mirrored") }
            let page = try await site.sendOpenly("GET", "/admin", [session]).text
            for text in ["contacts", "companies", "deals", ">37<", "succeeded", ">111<", "MongoDB reachable"] { #expect(page.contains(text), "\(text)") }
            #expect(!page.contains("cannot be reached") && !page.contains("id=\"verify\""))
        }
    }

    @Test func withoutMongoDBThePageSaysSo() async throws {
        try await Site.use(database: try .away()) { site in
            let session = try await site.logIn()
            try await eventually { try await site.sendOpenly("GET", "/admin", [session]).text.contains("MongoDB cannot be reached") }
            let records = try await site.sendOpenly("GET", "/admin/records", [session])
            #expect(records.status == 503 && records.text.contains("Not available now"))
        }
    }

    @Test func aDriftCheckIsReadFromTheStatus() throws {
        let status = #"{"contacts":{"total":1},"verify":{"at":"2026-11-24T08:00:00.000Z","checked":5000,"differing":2,"more":[1]},"mongodb":{}}"#
        let drift = try #require(DriftCheck(status: Array(status.utf8)))
        #expect(drift.at.iso8601 == "2026-11-24T08:00:00.000Z" && drift.checked == 5000 && drift.differing == 2)
        for other in ["{}", #"{"verify":null}"#, #"{"verify":{"at":null,"checked":null,"differing":null}}"#] { #expect(DriftCheck(status: Array(other.utf8)) == nil) }
    }

    // MARK: What they do

    @Test func formsWorkWithoutAScript() async throws {
        try await Site.use(account: { $0.latency = .milliseconds(20) }) { site in
            let session = try await site.logIn()
            func post(_ path: String, _ body: String) async throws -> Reply { try await site.sendOpenly("POST", path, [Self.form, session], body: body) }
            #expect(try await post("/admin/sync", "scope=all").headers["Location"] == "/admin?note=sync")
            let id = try #require(try await site.bench.runs.latest(limit: 1).first).id
            #expect(try await post("/admin/runs/\(id)/cancel", "").headers["Location"] == "/admin?note=cancel")
            try await eventually { try await site.bench.runs.run(id)?.state == .cancelled }
            #expect(try await site.sendOpenly("GET", "/admin?note=cancel", [session]).text.contains("The sync is about to end."))
            #expect(try await site.sendOpenly("GET", "/admin?note=%3Cb%3E", [session]).text.contains("<b>") == false)
            try await site.sync("companies?limit=5")
            let company = "\(site.bench.simulator.world.seededId(.companies, 0))"
            try await site.bench.store.writer.recordFailure(.companies, company, message: "broken")
            #expect(try await site.sendOpenly("GET", "/admin", [session]).text.contains("broken"))
            let retry = try await post("/admin/retry", "record=companies%3A\(company)&back=%2Fadmin%2Frecords%2Fcompanies%2F\(company)")
            #expect(retry.headers["Location"] == "/admin/records/companies/\(company)?note=retry")
            try await eventually { try await site.bench.store.mirror.record(.companies, company)?["syncStatus"] == "synced" }
            for (path, body, status) in [
                ("/admin/sync", "scope=x", 400), ("/admin/sync", "", 400), ("/admin/sync", "scope=all&limit=0", 400), ("/admin/runs/x/cancel", "", 404), ("/admin/retry", "record=x", 400),
                ("/admin/retry", "record=deals%3A1", 404), ("/admin/replay", "id=x", 404),
            ] {
                #expect(try await post(path, body).status == status, "\(path) \(body)")
            }
            // Back to our own pages only.
            for place in ["//evil.example", "https://evil.example", "/admin.evil", "/\\evil.example", "/admin/x\r\nSet-Cookie: a=b", "javascript:1"] {
                #expect(try await post("/admin/retry", "back=\(place.formEncoded)").headers["Location"] == "/admin?note=retry", "\(place)")
            }
        }
    }

    @Test func oneRecordIsRetriedAndFailuresAreListed() async throws {
        try await Site.use { site in
            try await site.sync("contacts?limit=5")
            let ids = (0..<2).map { "\(site.bench.simulator.world.seededId(.contacts, $0))" }
            for id in ids { try await site.bench.store.writer.recordFailure(.contacts, id, message: "broken \(id)") }
            let failures = try await site.send("GET", "/api/admin/hubspot/failures?type=contacts").json["failures"] as? [[String: Any]] ?? []
            #expect(Set(failures.compactMap { $0["syncError"] as? String }) == Set(ids.map { "broken \($0)" }))
            #expect(failures.allSatisfy { $0["type"] as? String == "contacts" && ($0["name"] as? String)?.isEmpty == false })
            #expect((try await site.send("GET", "/api/admin/hubspot/failures?limit=1").json["failures"] as? [Any])?.count == 1)
            #expect(try await site.send("GET", "/api/admin/hubspot/failures?limit=0").isError(400, "bad_parameter"))
            let retry = try await site.send("POST", "/api/admin/hubspot/tasks/retry?record=contacts:\(ids[0])")
            #expect(retry.status == 202 && retry.json["records"] as? Int == 1)
            try await eventually { try await site.bench.store.mirror.record(.contacts, ids[0])?["syncStatus"] == "synced" }
            #expect(try await site.bench.store.mirror.record(.contacts, ids[1])?["syncStatus"] == "error")
            #expect(try await site.send("POST", "/api/admin/hubspot/tasks/retry?record=contacts:404").isError(404, "not_found"))
            #expect(try await site.send("POST", "/api/admin/hubspot/tasks/retry?record=x").isError(400, "bad_parameter"))
        }
    }

    // MARK: Live

    private func stream(_ site: Site, _ path: String, _ session: (String, String)) async throws -> WebhookConnection {
        let port = try #require(site.url.split(separator: ":").last.flatMap { Int($0) })
        return try await onThread {
            let connection = try WebhookConnection(port: port)
            connection.send(Array("GET \(path) HTTP/1.1\r\nHost: x\r\n\(session.0): \(session.1)\r\n\r\n".utf8))
            return connection
        }
    }

    @Test func whoWatchesIsToldUntilTheSessionEnds() async throws {
        try await Site.use { site in
            let session = try await site.logIn()
            let page = try await stream(site, "/admin/events", session)
            let status = try await stream(site, "/api/admin/hubspot/status/events", session)
            let head = try #require(try await onThread { try page.read(until: "id=\"failures\"") })
            #expect(head.hasPrefix("HTTP/1.1 200") && head.contains("text/event-stream") && head.contains("event: section\ndata: <section"))
            #expect(try await onThread { try status.read(until: "{\"contacts\":{\"total\":0,") }?.contains("event: status\ndata: {\"contacts\"") == true)
            try await site.sync("contacts?limit=7")
            // Of a section only what differs from the last is sent.
            #expect(try await onThread { try page.read(until: "aria-label=\"7 total contacts\"") }?.contains("event: section\ndata: <section id=\"mirror\"") == true)
            _ = try await site.sendOpenly("POST", "/admin/logout", [session])
            // The last chunk of the answer.
            for connection in [page, status] { #expect(try await onThread { try connection.read(until: "0\r\n\r\n") } != nil) }
        }
    }

    @Test func thereAreOnlySoManyStreams() async throws {
        try await Site.use { site in
            let session = try await site.logIn()
            var streams: [WebhookConnection] = []
            for _ in 0..<StatusFeed.watchersMax {
                let one = try await stream(site, "/admin/events", session)
                #expect(try await onThread { try one.read(until: "\r\n\r\n") }?.hasPrefix("HTTP/1.1 200") == true)
                streams.append(one)
            }
            #expect(try await site.sendOpenly("GET", "/admin/events", [session]).isError(503, "too_many_streams"))
            // Who leaves makes room.
            streams.removeAll()
            try await site.sync("contacts?limit=7")
            try await eventually {
                let one = try await stream(site, "/admin/events", session)
                return try await onThread { try one.read(until: "\r\n\r\n") }?.hasPrefix("HTTP/1.1 200") == true
            }
        }
    }
}
