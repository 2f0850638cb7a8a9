import HubSpot
import Model
import Rules
import Store

/// Brings the mirrored associations of records to HubSpot's. They have a reading of their own: no list, batch read or search holds
/// them all, and they change without the records' dates.
struct Associations: Sendable {
    let mirror: MirrorWriter
    let hubspot: HubSpotClient

    /// - Parameters:
    ///   - ids: any number; a call takes 1,000.
    ///   - isWalk: whether all records are walked, most of which are right already.
    ///   - isMutual: whether those at the other ends are to be right too.
    /// - Returns: those of them that HubSpot failed to read, and how many records were changed.
    func refresh(
        _ ids: [String], of type: RecordType, to others: some Sequence<RecordType> = RecordType.allCases, isWalk: Bool = false,
        isMutual: Bool = false, as callClass: CallClass
    ) async throws -> (failed: [String], changed: Int) {
        guard !ids.isEmpty else { return ([], 0) }
        var failed: Set<String> = []
        var changed: Set<String> = []
        for other in others {
            let readAt = Timestamp.now
            let found = try await hubspot.associations(from: type, to: other, ids: ids, as: callClass)
            changed.formUnion(try await mirror.setAssociations(found, of: type, to: other, readAt: readAt, confirms: !isWalk))
            failed.formUnion(ids.filter { found[$0] == nil })
            if isMutual {
                let ends = Set(found.values.joined())
                // Those that HubSpot fails to read have the record among theirs with the next reconciliation.
                _ = try await refresh(ends.sorted(), of: other, to: [type], as: callClass)
            }
        }
        return (failed.sorted(), changed.subtracting(failed).count)
    }

    /// The same for a sync, whose records are right without their associations.
    ///
    /// - Parameter mayLackScopes: whether it is no trouble that the token may not.
    /// - Returns: what could not be read, for people.
    /// - Throws: `CancellationError` alone.
    func troubles(
        refreshing ids: [String], of type: RecordType, to other: RecordType, as callClass: CallClass, mayLackScopes: Bool = false
    ) async throws -> [String] {
        do {
            return try await refresh(ids, of: type, to: [other], as: callClass).failed.map {
                "\(type.rawValue) \($0): HubSpot could not read its associations"
            }
        } catch {
            try Task.checkCancellation()
            if mayLackScopes, case .missingScopes? = (error as? HubSpotError)?.kind { return [] }
            return ["associations of \(ids.count) \(type.rawValue) could not be read: \(error)"]
        }
    }
}
