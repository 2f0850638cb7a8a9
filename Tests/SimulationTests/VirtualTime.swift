import Model
import TestSupport

/// Time that goes on only when everybody waits, and then at once to the next alarm. Chance comes from the seed.
///
/// Belongs to one `JobThread`, whose jobs are the only ones that use it.
final class VirtualTime: Simulation, @unchecked Sendable {
    private struct Alarm {
        let at: Duration
        /// Alarms of one instant ring in the order in which they were set.
        let number: Int
    }

    /// Later than any retention of the core ends, so that the server's own clock removes nothing.
    private static let start = Timestamp(iso8601: "2040-01-01T00:00:00Z")!

    private(set) var uptime: Duration = .zero
    private var chance: SeededRandom
    /// A heap, the next one first; those that were cancelled are in it, too.
    private var alarms: [Alarm] = []
    private var sleepers: [Int: CheckedContinuation<Bool, Never>] = [:]
    private var lastNumber = 0

    init(seed: UInt64) { chance = SeededRandom(state: seed) }

    var wallTime: Timestamp { VirtualTime.start + uptime }

    func random() -> UInt64 { chance.next() }

    // MARK: Waiting

    func sleep(until instant: Duration) async throws {
        lastNumber += 1
        let number = lastNumber
        let isDone = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                if Task.isCancelled { return continuation.resume(returning: false) }
                add(Alarm(at: max(instant, uptime), number: number), continuation)
            }
        } onCancel: {
            sleepers.removeValue(forKey: number)?.resume(returning: false)
        }
        guard isDone else { throw CancellationError() }
    }

    /// Waits, cancelled or not.
    func pass(_ duration: Duration) async {
        lastNumber += 1
        let number = lastNumber
        _ = await withCheckedContinuation { add(Alarm(at: uptime + duration, number: number), $0) }
    }

    /// Goes on to the next alarm; false when there is none.
    func advance() -> Bool {
        while let alarm = popAlarm() {
            guard let sleeper = sleepers.removeValue(forKey: alarm.number) else { continue }
            uptime = alarm.at
            sleeper.resume(returning: true)
            return true
        }
        return false
    }

    private func add(_ alarm: Alarm, _ sleeper: CheckedContinuation<Bool, Never>) {
        sleepers[alarm.number] = sleeper
        alarms.append(alarm)
        var place = alarms.count - 1
        while place > 0, isFirst(place, (place - 1) / 2) {
            alarms.swapAt(place, (place - 1) / 2)
            place = (place - 1) / 2
        }
    }

    private func popAlarm() -> Alarm? {
        guard let first = alarms.first else { return nil }
        let last = alarms.removeLast()
        guard !alarms.isEmpty else { return first }
        alarms[0] = last
        var place = 0
        while true {
            var least = place
            for child in [place * 2 + 1, place * 2 + 2] where child < alarms.count && isFirst(child, least) { least = child }
            guard least != place else { return first }
            alarms.swapAt(place, least)
            place = least
        }
    }

    private func isFirst(_ a: Int, _ b: Int) -> Bool {
        (alarms[a].at, alarms[a].number) < (alarms[b].at, alarms[b].number)
    }
}
