import HubSpot
import Model
import Rules
import Store

/// Another try for records that could not be read among others, since no search shows them again before they change.
struct SecondReading: Sendable {
    let hubspot: HubSpotClient
    let mirror: MirrorWriter

    struct Result: Sendable {
        var outcome = WriteOutcome()
        /// Those that could be read now.
        var ids: [String] = []
        /// Those that failed again. It is noted on their records, which are healed by and by.
        var failures: [RecordFailure]
    }

    /// - Parameter failures: of at most a batch read's worth of records.
    func of(
        _ failures: [RecordFailure], _ type: RecordType, properties: [String], as callClass: CallClass
    ) async throws -> Result {
        var result = Result(failures: failures)
        let ids = failures.compactMap(\.id)
        guard !ids.isEmpty else { return result }
        do {
            let readAt = Timestamp.now
            let answer = try await hubspot.read(type, ids: ids, properties: properties, archived: false, as: callClass)
            result.outcome = try await mirror.writePatiently(answer.records, of: type, readAt: readAt)
            result.ids = answer.records.map(\.id)
            // What is missing by now has left the list, and is found out about as all that has.
            result.failures = answer.failures.filter { $0.id != nil } + failures.filter { $0.id == nil }
        } catch let error as HubSpotError where error.kind == .rejected {
            // HubSpot chokes on one of them: the first answer stands.
        }
        for failure in result.failures {
            if let id = failure.id { try await mirror.recordFailure(type, id, message: failure.message) }
        }
        return result
    }
}
