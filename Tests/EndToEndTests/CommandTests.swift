import Foundation
import Mongo
import Simulator
import TestSupport
import Testing

extension EndToEnd {
    /// The commands as people and scripts use them.
    @Suite(.scratchDatabase) struct CommandTests {
        private func uri() async throws -> String { try await MongoServer.shared.uri(ScratchDatabase.current.name) }

        @Test func syncPrintsItsResultAndStatusShowsIt() async throws {
            try await withSimulator { simulator in
                try await Service.run(Service.environment(mongodb: try await uri(), hubspot: simulator.baseURL)) { service in
                    let part = try await service.command(["sync", "contacts", "--limit", "10"])
                    #expect(part.status == 0)
                    let result = Service.Reply(status: 0, body: Array(part.output.utf8))
                    #expect(result.isSuccess == true)
                    #expect(result.integer("synced") == 10)
                    #expect(result.integer("updated") == 0)
                    #expect(result.json["errorMessages"] as? [String] == [])
                    // Without --follow a pipe stays quiet, so that a scheduler mails only what went wrong.
                    #expect(part.errors == "")

                    let all = try await service.command(["sync", "--follow"])
                    #expect(all.status == 0)
                    #expect(Service.Reply(status: 0, body: Array(all.output.utf8)).integer("synced") == 340)
                    #expect(all.errors.contains("350 of 350"), "\(all.errors)")
                    #expect(!all.errors.contains("\u{1B}") && !all.errors.contains("\r") && !all.errors.contains("█"))

                    let table = try await service.command(["status"])
                    #expect(table.status == 0)
                    let contacts = try #require(table.output.split(separator: "\n").first { $0.hasPrefix("contacts") })
                    #expect(contacts.split(separator: " ").dropFirst().prefix(5) == ["250", "250", "0", "0", "0"])
                    #expect(!table.output.contains("NOT REACHABLE"))
                    let json = try await service.command(["status", "--json"])
                    #expect(json.status == 0)
                    let status = Service.Reply(status: 0, body: Array(json.output.utf8))
                    #expect(status.object("deals")["total"] as? Int == 60)
                    #expect(status.object("mongodb")["reachable"] as? Bool == true)
                }
            }
        }

        @Test func syncDrawsAProgressBarOnATerminal() async throws {
            try await withSimulator({
                $0.contacts = 1_500
                $0.latency = .milliseconds(100)
            }) { simulator in
                try await Service.run(Service.environment(mongodb: try await uri(), hubspot: simulator.baseURL)) { service in
                    let terminal = try PseudoTerminal()
                    let process = try ServiceProcess(
                        ["sync", "contacts"], environment: service.commandEnvironment, standardError: terminal.slave)
                    #expect(await process.exit() == 0)
                    let drawn = try await terminal.text()
                    let frames = drawn.components(separatedBy: "\r").filter { $0.contains("contacts") }
                    #expect(frames.count >= 3)
                    #expect(frames.contains { $0.contains("█") && $0.contains("░") && $0.contains("/s") && $0.contains(" left") }, "\(drawn)")
                    #expect(frames.last?.contains("100 %  1,500 of 1,500") == true, "\(drawn)")
                    #expect(drawn.utf8.last == UInt8(ascii: "\n"))
                    // The result alone goes to the pipe.
                    #expect(Service.Reply(status: 0, body: Array(process.standardOutput.utf8)).integer("synced") == 1_500)
                }
            }
        }

        @Test func aSyncThatCannotProceedFailsWithItsReason() async throws {
            try await withSimulator { simulator in
                try await Service.run(Service.environment(mongodb: try await uri(), hubspot: simulator.baseURL)) { service in
                    simulator.token = "another"
                    let (status, output, errors) = try await service.command(["sync", "contacts"])
                    #expect(status == 1)
                    #expect((output + errors).contains("hubspot_unauthorized"))
                }
            }
        }

        @Test func doctorIsContentWithAGoodSetUp() async throws {
            try await withSimulator { simulator in
                try await Service.run(Service.environment(mongodb: try await uri(), hubspot: simulator.baseURL)) { _ in
                    let (status, output, errors) = try await doctor(try await uri(), simulator.baseURL)
                    #expect(status == 0, "\(output)\(errors)")
                    #expect(output.contains("All is well."))
                    #expect(!output.contains("BAD"))
                    for name in ["configuration", "hubspot token", "contacts", "companies", "deals", "mongodb", "replica set", "indexes"] {
                        #expect(output.contains("ok  \(name)"), "\(output)")
                    }
                }
            }
        }

        @Test func doctorSaysWhatToMend() async throws {
            try await withSimulator { simulator in
                // No service has started here, so no index was made.
                let fresh = try await doctor(try await uri(), simulator.baseURL)
                #expect(fresh.status == 1)
                #expect(fresh.output.contains("BAD indexes") && fresh.output.contains("hubspot-sync serve"), "\(fresh.output)")

                simulator.missingScopes = ["crm.objects.deals.read"]
                let scope = try await doctor(try await uri(), simulator.baseURL)
                #expect(scope.status == 1)
                #expect(scope.output.contains("BAD deals") && scope.output.contains("crm.objects.deals.read"), "\(scope.output)")
                simulator.missingScopes = []

                simulator.token = "another"
                let token = try await doctor(try await uri(), simulator.baseURL)
                #expect(token.status == 1)
                #expect(token.output.contains("BAD hubspot token") && token.output.contains("HUBSPOT_ACCESS_TOKEN"), "\(token.output)")
                simulator.token = Service.token

                let none = try await doctor(
                    "mongodb://root:\(Service.clientSecret)@127.0.0.1:1/none", "http://127.0.0.1:1", ["ADMIN_API_KEY": nil, "HUBSPOT_CLIENT_SECRET": nil])
                #expect(none.status == 1)
                for text in ["BAD admin key", "ADMIN_API_KEY", "BAD webhook secret", "HUBSPOT_CLIENT_SECRET", "BAD hubspot", "BAD mongodb"] {
                    #expect(none.output.contains(text), "\(none.output)")
                }
                #expect(none.errors.contains("problems found"))

                let missing = try await doctor(try await uri(), simulator.baseURL, ["HUBSPOT_ACCESS_TOKEN": nil])
                #expect(missing.status == 1)
                #expect((missing.output + missing.errors).contains("HUBSPOT_ACCESS_TOKEN"))
            }
        }

        private func doctor(
            _ mongodb: String, _ hubspot: String, _ changes: [String: String?] = [:]
        ) async throws -> (status: Int32, output: String, errors: String) {
            let result = try await ServiceProcess.run(
                ["doctor"], environment: Service.environment(mongodb: mongodb, hubspot: hubspot, changes))
            for secret in [Service.token, Service.adminKey, Service.clientSecret] {
                #expect(!(result.output + result.errors).contains(secret), "\(result.output)\(result.errors)")
            }
            return result
        }

        @Test(arguments: [
            [], ["serve"], ["sync"], ["status"], ["doctor"], ["simulate"],
        ]) func everyCommandExplainsItself(_ command: [String]) async throws {
            let (status, output, errors) = try await ServiceProcess.run(command + ["--help"])
            #expect(status == 0)
            #expect(output.contains("USAGE: hubspot-sync \(command.joined())"))
            #expect(errors == "")
        }

        @Test(arguments: [
            ["sync", "everything"], ["sync", "contacts", "--limit", "0"], ["sync", "contacts", "--limit=-5"], ["sync", "--limit", "ten"],
            ["status", "--tsv"], ["serve", "now"], ["simulate", "--faults", "2"], ["simulate", "--rate-limit", "fast"], ["fly"],
        ]) func aWrongUseHasItsOwnExitCode(_ arguments: [String]) async throws {
            let (status, output, errors) = try await ServiceProcess.run(arguments, environment: ["ADMIN_API_KEY": Service.adminKey])
            #expect(status == 64)
            #expect(output == "")
            #expect(errors.contains("Error: "), "\(errors)")
        }

        @Test(arguments: [["sync"], ["status"]]) func aCommandWithoutItsServiceSaysWhatToDo(_ command: [String]) async throws {
            let keyless = try await ServiceProcess.run(command, environment: ["PORT": "1"])
            #expect(keyless.status == 1)
            #expect(keyless.errors.contains("ADMIN_API_KEY"), "\(keyless.errors)")
            let alone = try await ServiceProcess.run(command, environment: ["PORT": "1", "ADMIN_API_KEY": Service.adminKey])
            #expect(alone.status == 1)
            #expect(alone.errors.contains("http://127.0.0.1:1") && alone.errors.contains("hubspot-sync serve"), "\(alone.errors)")
            #expect(!alone.errors.contains(Service.adminKey))
        }
    }
}
