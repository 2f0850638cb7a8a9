import HubSpot
import Model
import Rules
import Store

/// Finds what moves no modified date, and so no search for changes shows: deletions, and associations.
///
/// Far cheaper than a full sync: HubSpot's recycle bin holds 90 days of deletions, and a read of associations takes 1,000 records.
struct Reconcile: Sendable {
    let hubspot: HubSpotClient
    let mirror: MirrorWriter
    let catalog: PropertyCatalog
    let reader: MirrorReader

    /// Does nothing for a type of which the mirror has no record.
    func run(_ job: FullSync.Job) async throws {
        if job.progress.total == nil, let total = try await reader.counts()[job.type]?.total { await job.report(.total(total)) }
        try await findDeleted(job)
        try await relate(job)
    }

    /// How long after its deletion a record is surely in the recycle bin, with a margin to HubSpot's 90 days.
    private static let binnedFor: Duration = .seconds(80 * 86_400)

    /// Walks the recycle bin. Each record in it that the mirror has otherwise is asked for by its id, and so is each contact that was
    /// deleted lately and is not in it: it may have been erased since.
    private func findDeleted(_ job: FullSync.Job) async throws {
        var binned: Set<String> = []
        var after: String?
        repeat {
            try Task.checkCancellation()
            let page = try await hubspot.page(
                of: job.type, after: after, limit: HubSpotClient.pageMax, properties: ["hs_merged_object_ids"], archived: true,
                as: .incremental)
            try await ask(for: try await reader.unlikeArchived(page.records, of: job.type), job)
            // Only contacts can be deleted for privacy.
            if job.type == .contacts { binned.formUnion(page.records.map(\.id)) }
            after = page.after
        } while after != nil
        guard job.type == .contacts else { return }
        let erased = try await reader.archivedIds(of: job.type, after: job.startedAt - Reconcile.binnedFor, besides: binned)
        try await ask(for: erased, job)
    }

    private func ask(for ids: [String], _ job: FullSync.Job) async throws {
        try await job.lookUp(ids, by: Outcomes(mirror: mirror, hubspot: hubspot, catalog: catalog, callClass: .incremental))
    }

    /// Walks the mirror, so that a record whose last association went is looked at too.
    private func relate(_ job: FullSync.Job) async throws {
        let associations = Associations(mirror: mirror, hubspot: hubspot)
        var after = job.progress.walk.open.first?.after
        while !job.progress.walk.isFinished {
            try Task.checkCancellation()
            let ids = try await reader.liveIds(of: job.type, after: after, limit: HubSpotClient.associationsMax)
            guard let last = ids.last else { break }
            let result = try await associations.refresh(ids, of: job.type, isWalk: true, as: .incremental)
            var outcome = WriteOutcome()
            outcome.updated = ids.count - result.failed.count
            outcome.unchanged = outcome.updated - result.changed
            let failures = result.failed.map { RecordFailure(id: $0, message: "HubSpot could not read its associations") }
            after = last
            await job.report(.page(outcome, failures, .page(above: 0, through: nil, after: after)))
        }
    }
}
