import Foundation
import Model
import Mongo
import TestSupport
import Testing

extension EndToEnd {
    /// Whole accounts, compared record by record and property by property.
    @Suite(.scratchDatabase) struct VolumeTests {
        let database = ScratchDatabase.current

        private func uri() async throws -> String { try await MongoServer.shared.uri(database.name) }

        private func expectEqual(_ simulator: String, types: [RecordType] = RecordType.allCases) async throws -> MirrorComparison {
            let start = ContinuousClock.now
            let comparison = try await MirrorComparison(types, simulatorURL: simulator, database: database)
            #expect(comparison.isEqual, "\(comparison.differenceCount) differences:\n\(comparison.differences.joined(separator: "\n"))")
            EndToEnd.report("\(comparison.records) records, \(comparison.properties) properties compared in \((.now - start).shown)")
            return comparison
        }

        @Test func aHundredThousandContactsAreMirroredExactlyInBoundedMemory() async throws {
            let count = EndToEnd.isQuick ? 5_000 : 100_000
            let options = ["--contacts", "\(count)", "--companies", "1", "--deals", "1", "--properties", "60", "--rate-limit", "100000/1s"]
            try await withSimulatorProcess(options) { simulator in
                try await Service.run(Service.environment(mongodb: try await uri(), hubspot: simulator)) { service in
                    let start = ContinuousClock.now
                    let first = try await service.syncCommand("contacts")
                    let firstTook = ContinuousClock.now - start
                    #expect(first.isSuccess == true)
                    #expect(first.integer("synced") == count)
                    #expect(first.integer("errors") == 0)
                    #expect(try await expectEqual(simulator, types: [.contacts]).records == count)

                    let again = ContinuousClock.now
                    let second = try await service.syncCommand("contacts")
                    let secondTook = ContinuousClock.now - again
                    #expect(second.isSuccess == true)
                    #expect(second.integer("synced") == 0)
                    #expect(second.integer("updated") == count)
                    #expect(second.integer("unchanged") == count)
                    #expect(second.integer("errors") == 0)

                    let memory = try service.process.memory
                    if try ServiceProcess.isRelease { #expect(memory.peak < 150) }
                    EndToEnd.report(
                        "\(count) contacts: first sync \(firstTook.shown), second \(secondTook.shown), peak \(Int(memory.peak)) MB")
                }
            }
        }

        /// Their names alone are ten times as long as a URL may be.
        @Test func twelveHundredCustomPropertiesAreMirroredExactly() async throws {
            let counts = EndToEnd.isQuick ? [300, 100, 100] : [2_000, 500, 500]
            let options = [
                "--contacts", "\(counts[0])", "--companies", "\(counts[1])", "--deals", "\(counts[2])", "--properties", "400",
                "--custom-properties", "1200", "--rate-limit", "100000/1s",
            ]
            try await withSimulatorProcess(options) { simulator in
                try await Service.run(Service.environment(mongodb: try await uri(), hubspot: simulator)) { service in
                    let start = ContinuousClock.now
                    let result = try await service.syncCommand("all")
                    let took = ContinuousClock.now - start
                    #expect(result.isSuccess == true)
                    #expect(result.integer("synced") == counts.reduce(0, +))
                    #expect(result.integer("errors") == 0)
                    let comparison = try await expectEqual(simulator)
                    #expect(comparison.properties > comparison.records * 1200)
                    EndToEnd.report("1,200 custom properties: \(comparison.records) records in \(took.shown)")
                }
            }
        }

        /// 5 % of all calls fail: 429, 500, 502 with HTML, cut bodies, resets.
        @Test func aFaultyHubSpotIsMirroredExactly() async throws {
            let counts = [20_000, 5_000, 5_000]
            // A 429 costs one interval of the limit: a tenth of a second here, ten seconds at HubSpot.
            let options = [
                "--contacts", "\(counts[0])", "--companies", "\(counts[1])", "--deals", "\(counts[2])", "--properties", "20",
                "--rate-limit", "10000/100ms",
            ]
            try await withSimulatorProcess(options + ["--faults", "0.05"]) { simulator in
                let environment = Service.environment(
                    mongodb: try await uri(), hubspot: simulator, ["HUBSPOT_RATE_LIMIT": "10000/100ms"])
                try await Service.run(environment) { service in
                    let start = ContinuousClock.now
                    let result = try await service.syncCommand("all")
                    let took = ContinuousClock.now - start
                    #expect(result.isSuccess == true)
                    #expect(result.integer("synced") == counts.reduce(0, +))
                    #expect(result.integer("errors") == 0)
                    _ = try await expectEqual(simulator)
                    let metrics = try await service.get("/metrics").text
                    let retries = metrics.split(separator: "\n").filter { $0.hasPrefix("hubspot_sync_hubspot_retries_total{") }
                    let retried = retries.compactMap { $0.split(separator: " ").last.flatMap { Int($0) } }.reduce(0, +)
                    #expect(retried >= 5)
                    // 429; 500 and 502; cut bodies. Resets of a kept connection are libcurl's to repeat. Some three hundred calls may by
                    // chance meet none of one kind.
                    let causes = ["limited", "unavailable", "damaged"].filter { cause in retries.contains { $0.contains("cause=\"\(cause)\"") } }
                    #expect(causes.count >= 2, "\(retries)")
                    EndToEnd.report("5 % faults: \(counts.reduce(0, +)) records in \(took.shown), \(retried) calls repeated")
                }
            }
        }
    }
}
