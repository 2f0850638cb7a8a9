import Bytes
import Logging
import TestSupport

@testable import Simulator

/// Brings HubSpot's events to whichever instance lives: late, twice, in another order, or never, and again until one says 200.
final class Postman: @unchecked Sendable {  // belongs to one `JobThread`
    private let scenario: Scenario
    private let weather: Weather
    private let time: VirtualTime
    private let logger: Logger
    /// Who listens now.
    private let receivers: @Sendable () -> [Instance]
    private var nextEventId: Int64 = 1
    private(set) var pending = 0
    private(set) var accepted = 0, lost = 0

    /// HubSpot takes a later answer for none.
    private static let deadline: Duration = .seconds(5)

    init(_ scenario: Scenario, _ weather: Weather, _ time: VirtualTime, _ logger: Logger, receivers: @escaping @Sendable () -> [Instance]) {
        self.scenario = scenario
        self.weather = weather
        self.time = time
        self.logger = logger
        self.receivers = receivers
    }

    /// Takes what happened at one instant.
    func take(_ events: [WorldEvent]) {
        var batch: [WebhookEvent] = []
        // An import or a merge loses all or nothing; single events get lost too.
        let losesAll = weather.hits(scenario.lostEvents)
        for event in events {
            if case .propertyChange("hs_lastmodifieddate", _) = event.verb { continue }
            nextEventId += 1
            let isLost = (losesAll || weather.hits(scenario.lostEvents)) && canBeLost(event)
            logger.debug("Event", metadata: ["verb": "\(event.verb)", "of": "\(event.type) \(event.id)", "isLost": "\(isLost)"])
            if isLost {
                lost += 1
                continue
            }
            let made = WebhookEvent(
                event: event, eventId: nextEventId, subscriptionId: 1, isGeneric: scenario.account.webhooks.usesGenericPayloads)
            batch.append(made)
            if weather.hits(scenario.repeatedEvents) { batch.append(made) }
        }
        batch.shuffle(using: &weather.dice)
        while !batch.isEmpty {
            let count = Int.random(in: 1...batch.count, using: &weather.dice)
            let request = Array(batch.prefix(count))
            batch.removeFirst(count)
            pending += 1
            // As free as the sender is: it ends when the request is accepted.
            Task { await post(request) }
        }
    }

    private func canBeLost(_ event: WorldEvent) -> Bool {
        switch event.verb {
        // Of whom was merged into somebody who was erased then, nothing but a full sync hears.
        case .privacyDeletion, .merge: scenario.cure == .full
        default: true
        }
    }

    private func post(_ request: [WebhookEvent]) async {
        let body = Deliverer.body(request, portalId: scenario.account.portalId, appId: scenario.account.appId)
        await time.pass(weather.milliseconds(0...scenario.latestMs))
        while true {
            let living = receivers()
            if !living.isEmpty {
                let sentAt = time.uptime
                let isAccepted = await living[Int.random(in: 0..<living.count, using: &weather.dice)].receive(body)
                if isAccepted, time.uptime - sentAt <= Postman.deadline, !weather.hits(weather.lostReceipts) { break }
            }
            await time.pass(weather.milliseconds(500...12_000))
        }
        pending -= 1
        accepted += 1
    }
}
