import Metrics
public import Model
import Mongo
public import Store

/// Makes deliveries durable, many at a time: requests that come while a write is on its way share the next one, as a database's
/// log does it. The latency is that of one write, the throughput that of many.
public actor InboxWriter {
    /// Deliveries of one write. A full one of HubSpot's requests makes some 20 KB.
    private static let batchMax = 500
    /// Deliveries that may wait for a write; more are refused, and HubSpot sends them again.
    private static let waitingMax = 5000

    private struct Waiting {
        let delivery: Delivery
        let leaseUntil: Timestamp?
        let continuation: CheckedContinuation<(any Error)?, Never>
    }

    private let inbox: Inbox
    private let owner: String
    private var waiting: [Waiting] = []
    private var isWriting = false

    public init(inbox: Inbox, owner: String) {
        self.inbox = inbox
        self.owner = owner
    }

    /// Too much waits for MongoDB: come back later.
    public struct FullError: Error, Sendable {}

    /// Returns once the delivery is durable: majority, journaled.
    ///
    /// - Parameter leaseUntil: how long nobody else may work on it; nil leaves it to whoever has room.
    /// - Throws: `MongoError` when it is not known to be durable; `FullError`.
    public func append(_ delivery: Delivery, leaseUntil: Timestamp?) async throws {
        guard waiting.count < InboxWriter.waitingMax else { throw FullError() }
        let error = await withCheckedContinuation { continuation in
            waiting.append(Waiting(delivery: delivery, leaseUntil: leaseUntil, continuation: continuation))
            if !isWriting {
                isWriting = true
                // Belongs to all who wait, so a caller that is cancelled does not take it with it; ends when nothing waits.
                Task { await self.writeAll() }
            }
        }
        if let error { throw error }
    }

    /// Makes the delivery durable and gives it to `pool`. Without room there it belongs to nobody, so that an instance with room takes it up.
    ///
    /// - Throws: as `append`; the pool knows nothing of it then.
    public func append(_ delivery: Delivery, for pool: Pool) async throws {
        let leaseUntil = await pool.hasRoom ? delivery.receivedAt + Pool.lease : nil
        try await append(delivery, leaseUntil: leaseUntil)
        if let leaseUntil { await pool.take(delivery, leaseUntil: leaseUntil) }
    }

    private func writeAll() async {
        while !waiting.isEmpty {
            let batch = Array(waiting.prefix(InboxWriter.batchMax))
            waiting.removeFirst(batch.count)
            var failure: (any Error)?
            let start = CoreClock.now
            do {
                try await inbox.append(batch.map { ($0.delivery, $0.leaseUntil) }, owner: owner)
            } catch {
                failure = error
            }
            Timer(label: "inbox_write_seconds").record(duration: .now - start)
            for entry in batch { entry.continuation.resume(returning: failure) }
        }
        isWriting = false
    }
}
