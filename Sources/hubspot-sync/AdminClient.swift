import Curl
import FoundationEssentials

/// Talks to a running service for the commands.
struct AdminClient {
    let url: String
    let apiKey: String
    let driver: CurlDriver

    init(url: String, apiKey: String) {
        self.url = url.hasSuffix("/") ? String(url.dropLast()) : url
        self.apiKey = apiKey
        driver = CurlDriver()
    }

    /// - Throws: `Failure` saying what to do, when the service cannot be reached or refuses.
    func call<Answer: Decodable>(_ method: String, _ path: String, as type: Answer.Type, timeout: Duration = .seconds(60)) async throws -> Answer {
        let (status, body) = try await send(method, path, timeout: timeout)
        guard (200..<300).contains(status) else {
            let problem = try? JSONDecoder().decode(Problem.self, from: Data(body))  // an answer of another form is told by its status
            throw Failure("The service answered \(status): \(problem?.error ?? "no reason given")")
        }
        do {
            return try JSONDecoder().decode(type, from: Data(body))
        } catch {
            throw Failure("The service at \(url) answered in an unknown form; is it a hubspot-sync of this version?")
        }
    }

    func send(_ method: String, _ path: String, timeout: Duration = .seconds(60)) async throws -> (status: Int, body: [UInt8]) {
        do {
            let response = try await driver.send(
                CurlRequest(
                    method: method, url: url + path, headers: [("Authorization", "Bearer \(apiKey)"), ("Accept", "application/json")],
                    // Some answers come at the end of long work, and nothing before.
                    timeout: timeout, stallTimeout: timeout))
            return (response.status, response.body)
        } catch {
            throw Failure("No service answers at \(url): start it with 'hubspot-sync serve', or name another with --url.")
        }
    }

    private struct Problem: Decodable { let error: String? }
}
