import HTTPTypes
import Logging
import Metrics
import NIOConcurrencyHelpers
import NIOCore

/// All connections of this instance, held to the limits.
///
/// One look a second at all of them costs less than three timers a request: a connection may last a second longer than it should.
final class Connections: Sendable {
    /// Why a connection was closed.
    enum Reason: String, CaseIterable, Sendable {
        case idle, slowHead = "slow_head", slowBody = "slow_body", longBody = "long_body", stalled
        /// Made room for a new one.
        case crowded
        /// Found no room.
        case refused
    }

    private static let lookEvery: Duration = .seconds(1)
    private static let complaintEvery: TimeAmount = .minutes(1)

    let limits: ConnectionLimits
    private let logger: Logger
    private let open = NIOLockedValueBox<[ObjectIdentifier: Connection]>([:])
    /// Since the last report.
    private let closed = NIOLockedValueBox<[Reason: Int]>([:])
    private let complained = NIOLockedValueBox(NIODeadline.now() - complaintEvery)

    init(limits: ConnectionLimits, logger: Logger) {
        self.limits = limits
        self.logger = logger
    }

    /// nil when there is no room, since requests are in hand on all of them.
    func add(_ channel: any Channel) -> Connection? {
        let connection = Connection(channel, now: .now())
        let (isAdded, crowded) = open.withLockedValue { open in
            let crowded = open.count < limits.connectionsMax ? [] : makeRoom(&open)
            guard open.count < limits.connectionsMax else { return (false, crowded) }
            open[ObjectIdentifier(connection)] = connection
            return (true, crowded)
        }
        // Not under the lock: one of this event loop ends, and is removed, before this returns.
        for connection in crowded {
            connection.channel.close(promise: nil)
            count(.crowded)
        }
        if !isAdded { count(.refused) }
        if !crowded.isEmpty || !isAdded { complain() }
        return isAdded ? connection : nil
    }

    func remove(_ connection: Connection) {
        _ = open.withLockedValue { $0.removeValue(forKey: ObjectIdentifier(connection)) }
    }

    /// Closes what has been without a request longest: more than one, so that whoever opens many does not have them all looked at each time.
    private func makeRoom(_ open: inout [ObjectIdentifier: Connection]) -> [Connection] {
        let idle = open.values.compactMap { connection in connection.idleSince.map { (connection, $0) } }.sorted { $0.1 < $1.1 }
        let closing = idle.prefix(max(1, limits.connectionsMax / 64)).map(\.0).filter { $0.giveUp(evenBusy: false) }
        for connection in closing { open.removeValue(forKey: ObjectIdentifier(connection)) }
        return closing
    }

    private func complain() {
        let now = NIODeadline.now()
        let isDue = complained.withLockedValue { last in
            guard now - last >= Connections.complaintEvery else { return false }
            last = now
            return true
        }
        guard isDue else { return }
        logger.warning(
            "Too many connections: those silent longest are closed; see MAX_CONNECTIONS", metadata: ["connections": "\(limits.connectionsMax)"])
    }

    func close(_ connection: Connection, _ reason: Reason) {
        guard connection.giveUp(evenBusy: true) else { return }
        connection.channel.close(promise: nil)
        count(reason)
    }

    /// Closes what lasts too long, until cancelled.
    func watch() async {
        report(open: 0)
        while !Task.isCancelled {
            // Cancelled while asleep: the loop's condition ends it.
            try? await Task.sleep(for: Connections.lookEvery)
            let all = open.withLockedValue { Array($0.values) }
            let now = NIODeadline.now()
            for connection in all {
                if connection.leaveWhenLate(limits, at: now) { refuseBody(of: connection) }
                if let reason = connection.excess(limits, at: now) { close(connection, reason) }
            }
            report(open: all.count)
        }
    }

    /// Whoever reads the body is told in its place, and answers; where nobody does, the connection ends.
    private func refuseBody(of connection: Connection) {
        connection.channel.pipeline.fireErrorCaught(
            APIError(.requestTimeout, "slow_body", "The body took longer than REQUEST_TIMEOUT (\(limits.requestTime)) to arrive"))
        count(.slowBody)
    }

    private func count(_ reason: Reason) { closed.withLockedValue { $0[reason, default: 0] += 1 } }

    /// All reasons, also those that did not happen: Prometheus cannot see a counter rise that begins with 1.
    private func report(open: Int) {
        Gauge(label: "http_connections").record(open)
        let closed = closed.withLockedValue { closed in
            defer { closed = [:] }
            return closed
        }
        for reason in Reason.allCases {
            Counter(label: "http_connections_closed_total", dimensions: [("reason", reason.rawValue)]).increment(by: closed[reason] ?? 0)
        }
    }
}
