import Model
import Store

/// Work that all instances could do and one at a time does. Whoever dies over it is taken over when its lease ends.
struct SharedWork: Sendable {
    static let lease: Duration = .seconds(30)

    let schedule: ScheduleStore
    let name: String

    /// Does the work if it is due and nobody else is at it.
    ///
    /// - Parameter body: returns when the work is due again, from then on. Cancelled when the lease is lost.
    /// - Returns: whether it was done.
    /// - Throws: `MongoError` when the lease could not be asked for.
    @discardableResult
    func perform(_ body: @escaping @Sendable () async -> Duration) async throws -> Bool {
        var random = CoreRandom()
        let holder = String(random.next(), radix: 36)
        guard try await schedule.lease(name, holder: holder, at: .now, until: .now + SharedWork.lease) else { return false }
        let pause = await withTaskGroup(of: Duration?.self) { group in
            group.addTask { await body() }
            group.addTask {
                await keepLease(holder)
                return nil
            }
            let first = await group.next() ?? nil
            group.cancelAll()
            // The keeper ended first: the lease is lost, and the body ends soon.
            return first
        }
        guard let pause else { return true }
        // Also when this task was cancelled: others may go on at once. What cannot be noted ends with the lease.
        await Task { [schedule, name] in
            try? await schedule.end(name, holder: holder, at: .now, nextAt: .now + pause)
        }.value
        return true
    }

    private func keepLease(_ holder: String) async {
        while !Task.isCancelled {
            // Cancelled while asleep: the loop's condition ends it.
            try? await Task.sleep(for: SharedWork.lease / 3, clock: .core)
            guard !Task.isCancelled else { return }
            // While MongoDB is away the lease cannot be lost to anybody who would work.
            if let isHeld = try? await schedule.extend(name, holder: holder, until: .now + SharedWork.lease), !isHeld { return }
        }
    }
}
