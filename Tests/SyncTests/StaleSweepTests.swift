import Model
import ServiceLifecycle
import Store
import Sync
import TestSupport
import Testing

@Suite(.scratchDatabase, .timeLimit(.minutes(1))) struct StaleSweepTests {
    @Test func staleRecordsTurnPendingAndASyncTurnsThemBack() async throws {
        try await Workbench.use { bench in
            _ = try await bench.sync(.all())
            let sweep = Task {
                try await StaleSweep(mirror: bench.store.writer, staleAfter: .milliseconds(1), logger: bench.logger).run()
            }
            try await eventually { try await bench.store.mirror.counts().values.allSatisfy { $0.synced == 0 } }
            sweep.cancel()
            _ = await sweep.result
            #expect(try await bench.store.mirror.counts()[.contacts]?.pending == 250)
            let run = try await bench.sync(.all())
            #expect(run.sum.updated == 350 && run.sum.unchanged == 350)
            let counts = try await bench.store.mirror.counts()
            #expect(counts.values.allSatisfy { $0.pending == 0 } && counts[.contacts]?.synced == 250)
        }
    }

    @Test func freshRecordsStaySynced() async throws {
        try await Workbench.use(services: { [StaleSweep(mirror: $0.store.writer, staleAfter: .seconds(600), logger: $0.logger)] }) { bench in
            _ = try await bench.sync(.one(.deals))
            let old = Timestamp.now - .seconds(601)
            try await bench.store.writer.write([.sample(.deals, id: "1"), .sample(.deals, id: "2", archived: true)], of: .deals, at: old)
            try await bench.store.writer.markStale(olderThan: .now - .seconds(600))
            let counts = try #require(try await bench.store.mirror.counts()[.deals])
            #expect(counts.synced == 60 && counts.pending == 1 && counts.archived == 1)
        }
    }
}
