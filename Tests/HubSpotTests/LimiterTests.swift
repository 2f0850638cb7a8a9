import Curl
import Foundation
@testable import HubSpot
import Model
import Rules
import Testing

@Suite(.timeLimit(.minutes(1))) struct LimiterTests {
    @Test func neverMoreThanTheLimitStartInAWindow() async throws {
        let interval = Duration.milliseconds(150)
        let limiter = Limiter(general: RateLimit(calls: 20, interval: interval), search: RateLimit(calls: 1, interval: .seconds(1)), pauseWaitMax: .seconds(5))
        let starts = try await withThrowingTaskGroup(of: ContinuousClock.Instant.self) { group in
            for number in 0..<100 {
                group.addTask {
                    let permit = try await limiter.acquire(.general, CallClass.allCases[number % 5])
                    let start = ContinuousClock.now
                    await limiter.finish(permit, headers: LimitHeaders(.init()))
                    return start
                }
            }
            return try await group.reduce(into: []) { $0.append($1) }.sorted()
        }
        #expect(starts.count == 100)
        for index in 20..<100 { #expect(starts[index] - starts[index - 20] >= interval - .milliseconds(5)) }
    }

    @Test func theMostUrgentCallGoesFirstAndWithinAClassTheFirst() async throws {
        let limiter = Limiter(
            general: RateLimit(calls: 1, interval: .milliseconds(1)), search: RateLimit(calls: 1, interval: .seconds(1)), pauseWaitMax: .seconds(5))
        let held = try await limiter.acquire(.general, .live)
        let order = AsyncStream<String>.makeStream()
        var tasks: [Task<Void, any Error>] = []
        for (number, callClass) in [CallClass.healing, .full, .webhook, .full, .live, .webhook].enumerated() {
            tasks.append(
                Task {
                    let permit = try await limiter.acquire(.general, callClass)
                    order.continuation.yield("\(callClass)\(number)")
                    await limiter.finish(permit, headers: LimitHeaders(.init()))
                })
            while await limiter.snapshot.waiting.values.reduce(0, +) <= number { await Task.yield() }
        }
        await limiter.finish(held, headers: LimitHeaders(.init()))
        for task in tasks { try await task.value }
        order.continuation.finish()
        #expect(await order.stream.reduce(into: []) { $0.append($1) } == ["webhook2", "webhook5", "live4", "full1", "full3", "healing0"])
    }

    @Test func aCancelledCallLeavesTheQueueAndItsSlotToOthers() async throws {
        let limiter = Limiter(
            general: RateLimit(calls: 1, interval: .milliseconds(1)), search: RateLimit(calls: 1, interval: .seconds(1)), pauseWaitMax: .seconds(5))
        let held = try await limiter.acquire(.general, .live)
        let tasks = (0..<50).map { _ in
            Task { () -> Bool in
                guard let permit = try? await limiter.acquire(.general, .full) else { return false }
                await limiter.finish(permit, headers: LimitHeaders(.init()))
                return true
            }
        }
        while await limiter.snapshot.waiting[.full] != 50 { await Task.yield() }
        for (index, task) in tasks.enumerated() where index % 2 == 0 { task.cancel() }
        await limiter.finish(held, headers: LimitHeaders(.init()))
        var through = 0
        for task in tasks where await task.value { through += 1 }
        #expect(through >= 25)
        let snapshot = await limiter.snapshot
        #expect(snapshot.waiting.isEmpty && snapshot.inFlight == 0)
    }

    @Test func searchHasABudgetOfItsOwn() async throws {
        let limiter = Limiter(general: RateLimit(calls: 1, interval: .seconds(60)), search: RateLimit(calls: 1, interval: .seconds(60)), pauseWaitMax: .seconds(5))
        _ = try await limiter.acquire(.general, .full)
        _ = try await limiter.acquire(.search, .full)
        let snapshot = await limiter.snapshot
        #expect(snapshot.remaining == 0 && snapshot.searchRemaining == 0 && snapshot.inFlight == 2)
    }

    /// Webhooks wait in the pool, where they gather, and not for a call: the others have to make room for them all the same.
    @Test func whatIsHeldBackIsWantedAsMuchAsWhatWaits() async throws {
        let limit = RateLimit(calls: 100, interval: .seconds(10))
        let limiters = ["a", "b"].map { Limiter(general: limit, search: limit, pauseWaitMax: .seconds(5), sharingAs: $0) }
        var ledger = BudgetLedger()
        func look(_ seconds: Range<Int64>, isHoldingBack: Bool) async -> [Int] {
            for second in seconds {
                if isHoldingBack { await limiters[0].holdBack(.general) }
                for limiter in limiters {
                    let proposal = await limiter.propose(
                        on: ledger, storeNow: Timestamp(milliseconds: second * 1000), lookedAt: .now, isLeaving: false)
                    ledger = proposal.ledger
                    await limiter.confirm(proposal)
                }
            }
            return [await limiters[0].snapshot.allotted, await limiters[1].snapshot.allotted]
        }
        #expect(await look(0..<10, isHoldingBack: false) == [48, 48], "who wants nothing shares what there is")
        #expect(await look(10..<20, isHoldingBack: true) == [92, 4])
        #expect(await look(20..<30, isHoldingBack: false) == [48, 48])
    }

    @Test func waitersAreRefusedWhenALongPauseBegins() async throws {
        let limiter = Limiter(general: RateLimit(calls: 1, interval: .seconds(60)), search: RateLimit(calls: 1, interval: .seconds(60)), pauseWaitMax: .seconds(5))
        let held = try await limiter.acquire(.general, .full)
        let waiting = Task { () -> HubSpotError? in
            do throws(HubSpotError) {
                _ = try await limiter.acquire(.general, .full)
                return nil
            } catch {
                return error
            }
        }
        while await limiter.snapshot.waiting[.full] != 1 { await Task.yield() }
        await limiter.limited(held, .burst, retryAfter: .seconds(3600))
        #expect(await waiting.value?.kind == .limited)
    }
}
