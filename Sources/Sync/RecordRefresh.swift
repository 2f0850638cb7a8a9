public import HubSpot
public import Model
import Rules
public import Store

/// Brings single records of the mirror to HubSpot's state while somebody waits. Who asks for a record that is being read waits for the
/// same reading.
public actor RecordRefresh {
    /// Records that are read at once; more are refused.
    public static let recordsMax = 100

    /// Too many records are being read already.
    public struct BusyError: Error, Sendable {}

    /// Which reading is good enough.
    public enum Freshness: Sendable {
        /// One that is under way, too.
        case underWay
        /// One that begins after the question, so that it shows what the caller wrote before; the associations too.
        case anew
    }

    private typealias Waiter = AsyncStream<Result<Void, any Error>>.Continuation

    private struct Reading {
        var waiters: [Waiter] = []
        /// Those who came too late for it. They share the next one.
        var late: [Waiter] = []
    }

    private let outcomes: Outcomes
    private var readings: [RecordKey: Reading] = [:]

    public init(store: Store, hubspot: HubSpotClient, catalog: PropertyCatalog) {
        outcomes = Outcomes(mirror: store.writer, hubspot: hubspot, catalog: catalog, callClass: .live)
    }

    /// Returns when the mirror holds what HubSpot holds; a record that is gone there is then archived, absorbed or removed here.
    ///
    /// - Throws: `HubSpotError`, `MongoError`, `BusyError`; `CancellationError` when the caller was cancelled, which stops no reading.
    public func refresh(_ key: RecordKey, _ freshness: Freshness) async throws {
        let (results, waiter) = AsyncStream<Result<Void, any Error>>.makeStream()
        if let reading = readings[key] {
            if freshness == .anew || !reading.late.isEmpty {
                readings[key]?.late.append(waiter)
            } else {
                readings[key]?.waiters.append(waiter)
            }
        } else {
            guard readings.count < RecordRefresh.recordsMax else { throw BusyError() }
            readings[key] = Reading(waiters: [waiter])
            begin(key, isThorough: freshness == .anew)
        }
        for await result in results { return try result.get() }
        throw CancellationError()
    }

    private func begin(_ key: RecordKey, isThorough: Bool) {
        // Shared by all who wait for it, so it belongs to none of them. It ends with its calls' time-outs.
        Task {
            let result: Result<Void, any Error>
            do { result = .success(try await read(key, isThorough: isThorough)) } catch { result = .failure(error) }
            ended(key, result)
        }
    }

    private func read(_ key: RecordKey, isThorough: Bool) async throws {
        // As if asked for long ago: what is not to be seen now is gone, not late.
        var task = RecordQueue.Task(key: key, at: .now - Outcomes.visibleAfter)
        if isThorough { task.wish.associations = Set(RecordType.allCases) }
        if case .broken(let message) = try await outcomes.settle([task], key.type)[key] { throw HubSpotError(.damaged, message) }
    }

    private func ended(_ key: RecordKey, _ result: Result<Void, any Error>) {
        guard let reading = readings.removeValue(forKey: key) else { return }
        for waiter in reading.waiters {
            waiter.yield(result)
            waiter.finish()
        }
        guard !reading.late.isEmpty else { return }
        readings[key] = Reading(waiters: reading.late)
        begin(key, isThorough: true)
    }
}
