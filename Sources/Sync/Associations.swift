import HubSpot
import Model
import Rules
import Store

/// Brings the mirrored associations of records to HubSpot's. They have a reading of their own: no list, batch read or search holds
/// them all, and they change without the records' dates.
struct Associations: Sendable {
    let mirror: MirrorWriter
    let hubspot: HubSpotClient

    /// - Parameter ids: any number; a call takes 1,000.
    /// - Returns: those of them that HubSpot failed to read.
    func refresh(
        _ ids: [String], of type: RecordType, to others: some Sequence<RecordType> = RecordType.allCases, as callClass: CallClass
    ) async throws -> [String] {
        guard !ids.isEmpty else { return [] }
        var failed: Set<String> = []
        for other in others {
            let found = try await hubspot.associations(from: type, to: other, ids: ids, as: callClass)
            try await mirror.setAssociations(found, of: type, to: other)
            failed.formUnion(ids.filter { found[$0] == nil })
        }
        return failed.sorted()
    }
}
