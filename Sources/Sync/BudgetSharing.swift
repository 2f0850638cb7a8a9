public import HubSpot
public import Logging
import Model
import Rules
public import ServiceLifecycle
public import Store

/// Shares HubSpot's limits with the other instances on the same MongoDB: looks at the ledger every second, and at once when urgent
/// calls wait for more than this instance has. What it writes there is decided by `AccountBudget`.
public actor BudgetSharing: Service {
    /// Between two looks for urgent calls; the second when the first one gave them nothing.
    private static let newsSpacing: Duration = .milliseconds(30)
    private static let newsSpacingInVain: Duration = .milliseconds(250)
    /// Attempts of one look while other instances are faster.
    private static let attemptsMax = 8
    /// Calls are let go again after that time when MongoDB has not answered.
    private static let answerTime: Duration = .seconds(2)
    /// The store's own wait for a primary comes on top.
    private static let retryAfter: Duration = .milliseconds(100)

    private let ledger: BudgetStore
    private let hubspot: HubSpotClient
    private let logger: Logger
    private let wakeUps: AsyncStream<Void>
    private let wake: AsyncStream<Void>.Continuation
    private var isAway = false

    /// - Parameter hubspot: made to share (`sharingAs`).
    public init(ledger: BudgetStore, hubspot: HubSpotClient, logger: Logger) {
        self.ledger = ledger
        self.hubspot = hubspot
        self.logger = logger
        (wakeUps, wake) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    public func run() async throws {
        await hubspot.onBudgetNews { [wake] in wake.yield() }
        await cancelWhenGracefulShutdown {
            var wakeUps = self.wakeUps.makeAsyncIterator()
            repeat {
                let before = await self.hubspot.budget
                let wait = await self.look()
                let after = await self.hubspot.budget
                let hasGrown = after.allotted > before.allotted || after.searchAllotted > before.searchAllotted
                let spacing = hasGrown ? BudgetSharing.newsSpacing : BudgetSharing.newsSpacingInVain
                let alarm = Task { [wake = self.wake] in
                    guard (try? await Task.sleep(for: wait, clock: .core)) != nil else { return }  // replaced by the next one
                    wake.yield()
                }
                // Cancelled while asleep: the stream has ended too.
                try? await Task.sleep(for: min(wait, spacing), clock: .core)
                _ = await wakeUps.next()
                alarm.cancel()
            } while !Task.isCancelled
        }
        if !Task.isCancelled { await leave() }
    }

    /// - Returns: when to look again.
    private func look() async -> Duration {
        // The driver's time-outs are longer than calls should wait.
        let impatience = Task { [hubspot] in
            while (try? await Task.sleep(for: BudgetSharing.answerTime, clock: .core)) != nil { await hubspot.budgetStoreIsAway() }
        }
        defer { impatience.cancel() }
        do {
            var random = CoreRandom()
            for _ in 0..<BudgetSharing.attemptsMax {
                if let wait = try await exchange() {
                    if isAway { logger.info("The limits are shared again") }
                    isAway = false
                    return wait
                }
                try await Task.sleep(for: .milliseconds(Int.random(in: 1...20, using: &random)), clock: .core)
            }
            return BudgetSharing.retryAfter
        } catch {
            guard !Task.isCancelled else { return .zero }
            if !isAway {
                logger.warning("HubSpot's limits cannot be shared now; what this instance has of them stays", metadata: ["error": "\(error)"])
            }
            isAway = true
            await hubspot.budgetStoreIsAway()
            return BudgetSharing.retryAfter
        }
    }

    /// - Returns: when to look again; nil when another instance was faster.
    private func exchange(isLeaving: Bool = false) async throws -> Duration? {
        let lookedAt = CoreClock.now
        let look = try await ledger.load()
        let proposal = await hubspot.proposeBudget(
            on: look.ledger, storeNow: look.storeNow, lookedAt: lookedAt, isLeaving: isLeaving)
        guard try await ledger.save(proposal.ledger, after: look) else { return nil }
        await hubspot.confirmBudget(proposal)
        return proposal.lookAgainAfter
    }

    /// Gives back what no call holds, so that the others, or the next start, need not wait for the claim to run out.
    private func leave() async {
        do {
            for _ in 0..<BudgetSharing.attemptsMax where try await exchange(isLeaving: true) != nil { return }
        } catch {
            logger.debug("The share of the limits could not be given back; it runs out", metadata: ["error": "\(error)"])
        }
    }
}
