import Foundation
import Logging
import Model

@testable import Simulator

/// A simulated account without a network, on a clock of its own.
final class Account {
    let api: HubSpotAPI
    let world: World
    let settings: SimulatorSettings
    /// Nanoseconds at which the next call arrives.
    var time: Int64 = 1_000_000_000

    /// 2026-11-23T10:00:00.000Z
    static let now: Int64 = 1_795_428_000_000

    init(_ change: (inout SimulatorSettings) -> Void = { _ in }, now: @escaping @Sendable () -> Int64 = { Account.now }) {
        var settings = SimulatorSettings()
        settings.contacts = 250
        settings.companies = 40
        settings.deals = 60
        settings.rateLimit = nil
        settings.searchRateLimit = nil
        change(&settings)
        self.settings = settings
        world = World(settings: settings, now: now)
        api = HubSpotAPI(world: world, settings: settings)
    }

    func call(_ method: String, _ target: String, _ body: Any? = nil, token: String? = nil) -> Answer {
        var call = Call(method: method, target: target)
        call.headers = [("Authorization", "Bearer " + (token ?? settings.token))]
        call.arrival = time
        if let body { call.body = Array((try? JSONSerialization.data(withJSONObject: body, options: .fragmentsAllowed)) ?? Data()) }
        return api.answer(call)
    }

    func get(_ target: String) -> Answer { call("GET", target) }

    func post(_ target: String, _ body: Any) -> Answer { call("POST", target, body) }

    func id(_ index: Int, _ type: RecordType = .contacts) -> Int64 { world.seededId(type, index) }
}

extension Answer {
    /// The body as a JSON object; empty when it is none.
    var json: [String: Any] { (try? JSONSerialization.jsonObject(with: Data(body))) as? [String: Any] ?? [:] }

    var results: [[String: Any]] { json["results"] as? [[String: Any]] ?? [] }

    var ids: [String] { results.compactMap { $0["id"] as? String } }

    var next: String? { ((json["paging"] as? [String: Any])?["next"] as? [String: Any])?["after"] as? String }

    var errors: [[String: Any]] { json["errors"] as? [[String: Any]] ?? [] }

    var properties: [String: Any] { json["properties"] as? [String: Any] ?? [:] }
}
