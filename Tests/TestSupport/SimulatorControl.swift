public import Curl
import Foundation

/// The control endpoints of a simulator in a process of its own.
public struct SimulatorControl: Sendable {
    public struct Failure: Error, CustomStringConvertible {
        public let description: String
    }

    private let url: String
    private let driver: CurlDriver

    public init(url: String, driver: CurlDriver) {
        self.url = url
        self.driver = driver
    }

    @discardableResult
    public func send(_ verb: String, _ body: [String: Any] = [:]) async throws -> [String: Any] {
        let data = try JSONSerialization.data(withJSONObject: body)
        return try await answer(CurlRequest(method: "POST", url: "\(url)/_simulator/\(verb)", body: Array(data), timeout: .seconds(120)))
    }

    public func get(_ name: String) async throws -> [String: Any] {
        try await answer(CurlRequest(url: "\(url)/_simulator/\(name)", timeout: .seconds(120)))
    }

    /// Returns when no event is under way any more. Looks only now and then: a simulator that is measured must not be kept busy.
    public func settle() async throws {
        while try await get("deliveries")["pending"] as? Int != 0 { try await Task.sleep(for: .milliseconds(20)) }
    }

    private func answer(_ request: CurlRequest) async throws -> [String: Any] {
        let response = try await driver.send(request)
        guard response.status == 200, let json = try JSONSerialization.jsonObject(with: Data(response.body)) as? [String: Any] else {
            throw Failure(description: "the simulator answered \(response.status) to \(request.url)")
        }
        return json
    }
}
