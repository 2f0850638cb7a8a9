import Rules
import TestSupport

/// What may go wrong now, and the dice by which it is decided. Belongs to one `JobThread`.
final class Weather: @unchecked Sendable {
    var dice: SeededRandom
    /// Shares of commands that MongoDB fails to carry out, and of those that it carries out and fails to confirm.
    var lostCommands = 0.0, lostAnswers = 0.0
    /// Share of calls to MongoDB and HubSpot that take seconds.
    var slowCalls = 0.0
    /// Shares of HubSpot's answers that never come, and of those in which one record cannot be read.
    var deadCalls = 0.0, damagedRecords = 0.0
    /// Nothing answers until then.
    var mongoBackAt: Duration = .zero, hubspotBackAt: Duration = .zero
    /// Share of accepted webhooks whose 200 is lost on its way.
    var lostReceipts = 0.0

    init(seed: UInt64) { dice = SeededRandom(state: seed) }

    func hits(_ share: Double) -> Bool { share > 0 && Double.random(in: 0..<1, using: &dice) < share }

    func milliseconds(_ range: ClosedRange<Int>) -> Duration { .microseconds(Int.random(in: range.lowerBound * 1000...range.upperBound * 1000, using: &dice)) }

    func clear() {
        (lostCommands, lostAnswers, slowCalls, deadCalls, damagedRecords, lostReceipts) = (0, 0, 0, 0, 0, 0)
        (mongoBackAt, hubspotBackAt) = (.zero, .zero)
    }
}
