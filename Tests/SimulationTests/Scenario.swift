import Model
import struct Rules.RateLimit
import Simulator
import TestSupport

/// What one seed is about: the account, the instances, and what may go wrong.
struct Scenario: Sendable {
    /// How the mirror is to become equal to HubSpot once faults stop.
    enum Cure: Sendable, CaseIterable {
        /// By what was delivered alone: HubSpot loses no event, so that nothing else may be needed.
        case deliveries
        /// By the searches and walks that are made every few minutes. HubSpot loses events, but none of merges and privacy deletions,
        /// which only a full sync can find.
        case changes
        /// By a full sync. HubSpot loses events of all kinds.
        case full
    }

    let cure: Cure
    let instances: Int
    let concurrency: Int
    let pageSize: Int
    let sharesLimits: Bool
    let hasDefinitions: Bool
    let rateLimit: RateLimit
    let intervals: [(scope: SyncScope, every: Duration)]
    let account: SimulatorSettings
    /// Share of instances that die at some step of theirs.
    let deaths: Double
    let isRough: Bool
    /// Whether faults begin only when the mirror is complete.
    let isFullAtFirst: Bool
    /// Whether an instance that comes back is another one to those who know only its name.
    let hasNewNames: Bool
    /// Whether everything is off for a while before the cure.
    let hasNight: Bool
    let lostEvents: Double
    let repeatedEvents: Double
    /// How long an event may be on its way.
    let latestMs: Int
    let steps: Int

    init(seed: UInt64) {
        var random = SeededRandom(state: seed ^ 0x5CE7_A210)
        func hits(_ share: Double) -> Bool { Double.random(in: 0..<1, using: &random) < share }
        func number(_ range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &random) }
        cure = Cure.allCases[number(0...2)]
        instances = hits(0.6) ? 1 : 2
        concurrency = number(1...4)
        pageSize = hits(0.5) ? 100 : number(2...6)
        sharesLimits = hits(0.25)
        hasDefinitions = hits(0.2)
        let calls = sharesLimits || hits(0.2) ? number(20...60) : 100_000
        rateLimit = RateLimit(calls: calls, interval: .seconds(10))
        isRough = hits(0.8)
        isFullAtFirst = hits(0.5)
        hasNewNames = hits(0.5)
        hasNight = cure != .deliveries && hits(0.3)
        deaths = hits(0.7) ? 0.8 : 0
        lostEvents = cure == .deliveries ? 0 : hits(0.5) ? 0.5 : 0.1
        repeatedEvents = hits(0.5) ? 0.3 : 0
        latestMs = hits(0.15) ? 20_000 : number(50...3_000)
        steps = number(3...12)
        intervals =
            cure == .deliveries || hits(0.5) ? [] : [(.incremental, .seconds(number(5...30))), (.reconcile, .seconds(number(10...40)))]
        var account = SimulatorSettings()
        account.seed = seed
        account.contacts = number(1...8)
        account.companies = number(0...5)
        account.deals = number(0...5)
        account.propertiesPerRecord = 4
        account.customProperties = 0
        account.archivedFromStart = number(0...1)
        account.mergeKeepsPrimary = hits(0.5)
        account.searchLag = hits(0.5) ? .zero : .milliseconds(number(1...20_000))
        account.readLag = hits(0.5) ? .zero : .milliseconds(number(1...2_000))
        account.associationPageSize = hits(0.5) ? 500 : number(1...3)
        account.associationIdsAsStrings = hits(0.2)
        account.listCursors = ListCursors.allCases[number(0...2)]
        account.rateLimit = .some(.init(calls, per: .seconds(10)))
        account.searchRateLimit = .some(.init(5, per: .seconds(1)))
        account.retryAfterOn429 = hits(0.5)
        account.webhooks.usesGenericPayloads = hits(0.2)
        self.account = account
    }
}
