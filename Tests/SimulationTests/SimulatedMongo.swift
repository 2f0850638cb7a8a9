import Model
import Mongo

/// The way of one instance to the genuine MongoDB, in the simulation's time. Commands run where they are called, one at a time; what
/// overlaps are the waits before and after.
struct SimulatedMongo: MongoCalls {
    let life: Life
    let weather: Weather
    let time: VirtualTime

    /// How long the driver looks for a primary.
    private static let patience: Duration = .seconds(2)

    func run<R: Sendable>(_ body: @Sendable @escaping () throws -> R) async throws -> R {
        // What waits for a thread can be cancelled, what runs cannot.
        try await time.sleep(until: max(time.uptime, life.stalledUntil) + delay)
        guard !life.isDead else { throw closed }
        if weather.mongoBackAt > time.uptime {
            let back = weather.mongoBackAt
            await time.pass(min(SimulatedMongo.patience, back - time.uptime))
            guard !life.isDead else { throw closed }
            guard back <= time.uptime else { throw MongoError(.unreachable, message: "no primary") }
        }
        let result = Result(catching: body)
        await time.pass(delay)
        guard !life.isDead else { throw closed }
        return try result.get()
    }

    private var delay: Duration { weather.milliseconds(weather.hits(weather.slowCalls) ? 10...3_000 : 0...4) }

    private var closed: MongoError { MongoError(.closed, message: "the instance is dead") }

    func willSend() throws(MongoError) {
        guard life.step() else { throw closed }
        if weather.hits(weather.lostCommands) { throw MongoError(.unreachable, message: "the command was lost") }
    }

    func didSend() throws(MongoError) {
        guard life.step() else { throw closed }
        if weather.hits(weather.lostAnswers) { throw MongoError(.timedOut, message: "the answer was lost") }
    }
}

/// The simulation's own way: where it is called, and nothing fails.
struct DirectCalls: MongoCalls {
    func run<R: Sendable>(_ body: @Sendable @escaping () throws -> R) async throws -> R { try body() }
}
