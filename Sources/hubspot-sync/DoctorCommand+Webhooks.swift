import Curl
import FoundationEssentials
import Model
import Mongo
import Signature
import Store

extension DoctorCommand {
    private static let path = "/api/webhooks/hubspot"

    /// Whether HubSpot's posts reach a receiver of ours, and whether that agrees with this configuration.
    func checkWebhookURL(_ settings: Settings, _ findings: inout Findings) async {
        let name = "webhook url"
        guard let url = settings.webhookURL else {
            return findings.warn(
                name,
                "HUBSPOT_WEBHOOK_URL is not set, so signatures are checked over what each request says: set it to the target URL in HubSpot")
        }
        if !url.lowercased().hasPrefix("https://") {
            findings.warn(name, "HubSpot posts only to https, and \(url) is not: put a proxy with TLS before the service and name its address")
        }
        let driver = CurlDriver()
        do {
            let response = try await driver.send(
                CurlRequest(method: "POST", url: url, headers: [("Content-Type", "application/json")], body: Array("[]".utf8), timeout: .seconds(15)))
            if let problem = problem(response, url) {
                findings.error(name, problem)
            } else {
                findings.ok(name, "a hubspot-sync answers at \(url) and refuses what is not signed")
                await checkSigned(url, settings, driver, &findings)
            }
        } catch {
            findings.error(name, problem(error, url))
        }
        await driver.shutDown()
    }

    /// What is wrong with the answer to a request without a signature; nil for our receiver's own.
    private func problem(_ response: CurlResponse, _ url: String) -> String? {
        let code = (try? JSONDecoder().decode(ErrorAnswer.self, from: Data(response.body)))?.code  // no JSON: not ours
        switch (response.status, code) {
        case (401, "missing_signature"): return nil
        case (401, "no_client_secret"):
            return "the service at \(url) has no HUBSPOT_CLIENT_SECRET and refuses every webhook: set it there and restart the service"
        case (300..<400, _):
            let target = response.headers["Location"].map { " to \($0)" } ?? ""
            return "\(url) redirects\(target) (\(response.status)), which HubSpot does not follow: use the final address in HubSpot and here"
        case (404, _):
            return "\(url) is not found (404): the proxy must pass \(DoctorCommand.path) on to the service, path and query unchanged"
        case (401, _), (403, _):
            return "something before the service asks for a login at \(url) (\(response.status)): let \(DoctorCommand.path) through without one"
        case (405, _): return "what answers at \(url) takes no POST (405): check the path, which is \(DoctorCommand.path)"
        case (502...504, _): return "the proxy at \(url) does not reach the service (\(response.status)): start it, or mend the proxy's target"
        case (200..<300, _):
            return "what answers at \(url) accepts a request without a signature (\(response.status)), so it is not this service: check the proxy"
        default: return "\(url) answered \(response.status) where a hubspot-sync answers 401: check what runs there"
        }
    }

    private func problem(_ error: CurlError, _ url: String) -> String {
        switch error.kind {
        case .tls: "the certificate or TLS of \(url) is not good, and HubSpot insists on it: \(error.message)"
        case .connect: "nothing answers at \(url): start the service and its proxy, and check name and port (\(error.message))"
        case .timeout: "\(url) does not answer in time: check the firewall and the proxy"
        default: "\(url) gives no usable answer: \(error.message)"
        }
    }

    /// An empty delivery, signed as HubSpot signs: proves that secret and URL there are those here, through the proxy. Nothing is stored.
    private func checkSigned(_ url: String, _ settings: Settings, _ driver: CurlDriver, _ findings: inout Findings) async {
        guard let secret = settings.clientSecrets.first else { return }
        let name = "signed webhook", body = Array("[]".utf8)
        do {
            let headers = try Signer(secret: secret).headers(method: "POST", uri: url, body: body, timestampMs: Timestamp.now.milliseconds)
            let response = try await driver.send(
                CurlRequest(
                    method: "POST", url: url, headers: headers.map { ($0.name, $0.value) } + [("Content-Type", "application/json")], body: body,
                    timeout: .seconds(15)))
            if response.status == 200 {
                findings.ok(name, "an empty one is accepted: secret and URL agree with the service")
            } else {
                findings.error(
                    name,
                    "the service refuses one signed with this configuration (\(response.status)): give it the same HUBSPOT_CLIENT_SECRET and "
                        + "HUBSPOT_WEBHOOK_URL and restart it; 'doctor --rejected' tells more")
            }
        } catch {
            findings.error(name, "it could not be sent: \(error)")
        }
    }

    private struct ErrorAnswer: Decodable { let code: String? }

    // MARK: Rejected deliveries

    /// Says what would have made refused signatures right.
    ///
    /// - Parameter all: each of them and that there are none, else the latest.
    func explainRejected(_ settings: Settings, _ findings: inout Findings, all: Bool) async {
        let database: MongoDatabase
        do {
            database = try MongoDatabase(MongoSettings(uri: settings.mongodbURI, applicationName: "hubspot-sync doctor"))
        } catch {
            return findings.error("mongodb", "MONGODB_URI cannot be used: \(error.message)")
        }
        do {
            try await explainRejected(in: RejectedStore(database: database), settings, &findings, all: all)
        } catch {
            findings.error("mongodb", "no usable answer from \(database.hosts): \((error as? MongoError)?.message ?? "\(error)")")
        }
        await database.shutDown()
    }

    func explainRejected(in store: RejectedStore, _ settings: Settings, _ findings: inout Findings, all: Bool) async throws {
        let rejected = try await store.latest(now: .now)
        guard let latest = rejected.first else { return findings.ok("refused webhooks", "none in the last day") }
        for delivery in all ? rejected : [latest] {
            findings.warn("refused webhooks", "\(delivery.receivedAt.iso8601) \(RejectionAdvice.text(delivery, settings))")
        }
        if !all, rejected.count > 1 { findings.warn("refused webhooks", "and \(rejected.count - 1) before it: see 'doctor --rejected'") }
    }
}
