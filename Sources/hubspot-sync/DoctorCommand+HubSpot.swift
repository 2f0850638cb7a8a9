import Curl
import HubSpot
import Logging
import Model
import Rules

extension DoctorCommand {
    /// HubSpot answers with its clock; signatures are good for five minutes.
    private static let skewWarning: Duration = .seconds(30), skewError: Duration = .seconds(300)

    /// The token, the account, the clock, and every kind of call that the service makes, for each type.
    func checkHubSpot(_ settings: Settings, _ findings: inout Findings) async {
        var quick = settings.hubspot
        quick.attemptsMax = 2
        let driver = CurlDriver()
        let hubspot = HubSpotClient(settings: quick, driver: driver, logger: Logger(label: "doctor"))
        await checkClock(quick.baseURL, driver, &findings)
        if await checkToken(hubspot, quick.baseURL, &findings) {
            for type in RecordType.allCases { await check(type, hubspot, &findings) }
            await checkDefinitions(hubspot, &findings)
        }
        await driver.shutDown()
    }

    /// - Returns: whether it is worth asking for more.
    private func checkToken(_ hubspot: HubSpotClient, _ baseURL: String, _ findings: inout Findings) async -> Bool {
        do {
            let account = try await hubspot.account(as: .live)
            findings.ok("hubspot token", "accepted")
            let facts = [account.accountType, account.timeZone.map { "time zone \($0), where its day's quota ends" }].compactMap(\.self)
            findings.ok("account", "\(account.portalId)" + facts.map { ", \($0)" }.joined())
            return true
        } catch {
            switch error.kind {
            case .missingScopes:
                findings.ok("hubspot token", "accepted")
                findings.warn("account", "its details need the scope oauth: without them events of another account cannot be told apart")
                return true
            case .unauthorized:
                findings.error("hubspot token", "HubSpot refuses it: check HUBSPOT_ACCESS_TOKEN against the app or service key")
                return false
            default:
                findings.error("hubspot", "no usable answer from \(baseURL): \(error.message)")
                return !error.isTemporary
            }
        }
    }

    private func checkClock(_ baseURL: String, _ driver: CurlDriver, _ findings: inout Findings) async {
        let sent = Timestamp.now
        // Without the token: any answer has the header. What cannot be reached is told by the next check.
        guard let response = try? await driver.send(CurlRequest(url: baseURL + "/", timeout: .seconds(15))) else { return }
        guard let theirs = response.headers["Date"].flatMap(Timestamp.init(httpDate:)) else {
            return findings.warn("clock", "\(baseURL) does not tell its time: make sure that this machine's clock is kept right by NTP")
        }
        // The header has whole seconds, and was written somewhere in the round trip.
        let skew = sent + (Timestamp.now - sent) / 2 - (theirs + .milliseconds(500))
        let size = skew < .zero ? .zero - skew : skew
        let text = "this machine is \(size.short) \(skew < .zero ? "behind" : "ahead of") HubSpot"
        if size > DoctorCommand.skewError {
            findings.error("clock", "\(text), so every v3 signature fails: set the clock and keep it right by NTP (timedatectl set-ntp true)")
        } else if size > DoctorCommand.skewWarning {
            findings.warn("clock", "\(text); signatures fail from 5 minutes on: keep it right by NTP (timedatectl set-ntp true)")
        } else {
            findings.ok("clock", "agrees with HubSpot's to \(Int(DoctorCommand.skewWarning.components.seconds)) s")
        }
    }

    private func check(_ type: RecordType, _ hubspot: HubSpotClient, _ findings: inout Findings) async {
        let object = "crm.objects.\(type.rawValue).read", schema = "crm.schemas.\(type.rawValue).read"
        var count = 0
        var problems = 0
        func attempt(_ what: String, _ scope: String, _ body: () async throws(HubSpotError) -> Void) async {
            do {
                try await body()
            } catch {
                problems += 1
                findings.error(type.rawValue, DoctorCommand.reason(error, what, scope))
            }
        }
        var id: String?
        await attempt("their properties", schema) { () async throws(HubSpotError) in
            count = try await hubspot.definitions(.properties(type), as: .live).count
        }
        await attempt("a list", object) { () async throws(HubSpotError) in
            id = try await hubspot.page(of: type, after: nil, limit: 1, properties: [], archived: false, as: .live).records.first?.id
        }
        await attempt("archived ones", object) { () async throws(HubSpotError) in
            _ = try await hubspot.page(of: type, after: nil, limit: 1, properties: [], archived: true, as: .live)
        }
        await attempt("a search", object) { () async throws(HubSpotError) in
            _ = try await hubspot.search(type, SearchQuery(sortedBy: type.modifiedProperty, limit: 1), as: .live)
        }
        // An account without records is asked for one that cannot be.
        let sample = id ?? "1"
        await attempt("a batch read", object) { () async throws(HubSpotError) in
            _ = try await hubspot.read(type, ids: [sample], properties: [], archived: false, as: .live)
        }
        for other in RecordType.allCases where other != type {
            await attempt("their \(other.rawValue)", "\(object), crm.objects.\(other.rawValue).read") { () async throws(HubSpotError) in
                _ = try await hubspot.associations(from: type, to: other, ids: [sample], as: .live)
            }
        }
        if problems == 0 { findings.ok(type.rawValue, "list, search, batch read, associations and \(count) properties can be read") }
    }

    private func checkDefinitions(_ hubspot: HubSpotClient, _ findings: inout Findings) async {
        do {
            let pipelines = try await hubspot.definitions(.pipelines(.deals), as: .live)
            findings.ok("pipelines", "\(pipelines.count) can be read")
        } catch {
            findings.error("pipelines", DoctorCommand.reason(error, "the deals' pipelines", "crm.objects.deals.read"))
        }
        do {
            let owners = try await hubspot.definitions(.owners, as: .live)
            findings.ok("owners", "\(owners.count) can be read")
        } catch {
            // Nothing else depends on them.
            findings.warn("owners", DoctorCommand.reason(error, "owners", "crm.objects.owners.read") + "; until then they are not mirrored")
        }
    }

    private static func reason(_ error: HubSpotError, _ what: String, _ scope: String) -> String {
        guard case .missingScopes(let scopes) = error.kind else { return "HubSpot does not answer to \(what): \(error.message)" }
        let names = scopes.isEmpty ? scope : scopes.joined(separator: ", ")
        return "\(what) cannot be read: add the scope \(names) to the app or service key"
    }
}
