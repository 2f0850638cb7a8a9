/// The clock by which the core measures and waits. It stands still for nobody and knows no date; `Timestamp.now` is the wall's.
///
/// A simulation has a time of its own, which everything that its tasks start shares. A task-local value is how it gets there: time is
/// asked for in a hundred places, from which a parameter would have to come down through every type.
public struct CoreClock: Clock {
    public struct Instant: InstantProtocol {
        fileprivate let uptime: Duration

        public static var now: Self { Instant(uptime: CoreClock.simulation?.uptime ?? (ContinuousClock.now - CoreClock.origin)) }

        public func advanced(by duration: Duration) -> Self { Instant(uptime: uptime + duration) }
        public func duration(to other: Self) -> Duration { other.uptime - uptime }
        public static func < (a: Self, b: Self) -> Bool { a.uptime < b.uptime }
        public static func + (a: Self, b: Duration) -> Self { a.advanced(by: b) }
        public static func - (a: Self, b: Self) -> Duration { b.duration(to: a) }
    }

    /// The simulation that the running task belongs to; nil: none, so that time and chance are the machine's.
    @TaskLocal public static var simulation: (any Simulation)?
    fileprivate static let origin = ContinuousClock.now

    public init() {}

    public static var now: Instant { .now }
    public var now: Instant { .now }
    public var minimumResolution: Duration { .nanoseconds(1) }

    public func sleep(until deadline: Instant, tolerance: Duration?) async throws {
        if let simulation = CoreClock.simulation {
            try await simulation.sleep(until: deadline.uptime)
        } else {
            try await ContinuousClock().sleep(until: CoreClock.origin + deadline.uptime, tolerance: tolerance)
        }
    }
}

extension Clock where Self == CoreClock {
    public static var core: CoreClock { CoreClock() }
}

/// Chance as the core takes it: the machine's, or that of the simulation which the task that asks for it belongs to.
public struct CoreRandom: RandomNumberGenerator {
    // Kept, not asked for anew: a value without a size has no address of its own, and the thread sanitizer takes two of them,
    // each drawn from by its own thread, for one.
    private let simulation = CoreClock.simulation

    public init() {}

    public mutating func next() -> UInt64 { simulation?.random() ?? .random(in: .min ... .max) }
}

/// Time and chance of a simulation.
public protocol Simulation: Sendable {
    /// Since some instant that never changes.
    var uptime: Duration { get }
    /// The date, of this machine and of every other.
    var wallTime: Timestamp { get }
    /// - Throws: `CancellationError`.
    func sleep(until uptime: Duration) async throws
    func random() -> UInt64
}
