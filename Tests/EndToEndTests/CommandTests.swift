import Bytes
import Foundation
import Model
import Mongo
import Signature
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

        @Test func verifyPrintsWhatDiffersAndItsExitCodeSaysWhether() async throws {
            try await withSimulator { simulator in
                try await Service.run(Service.environment(mongodb: try await uri(), hubspot: simulator.baseURL)) { service in
                    _ = try await service.command(["sync"])
                    let equal = try await service.command(["verify", "--sample", "all"])
                    #expect(equal.status == 0 && equal.errors == "", "\(equal.errors)")
                    #expect(Service.Reply(status: 0, body: Array(equal.output.utf8)).integer("checked") == 350)
                    let id = "\(simulator.world.seededId(.deals, 4))"
                    _ = try await ScratchDatabase.current.run { try $0.deleteMany(["_id": .string(id)], in: "deals") }
                    let different = try await service.command(["verify", "--sample", "all", "--types", "deals"])
                    #expect(different.status == 1 && different.output.contains("missingInMirror") && different.output.contains(id))
                    let repaired = try await service.command(["verify", "--sample", "all", "--repair"])
                    #expect(repaired.status == 0 && Service.Reply(status: 0, body: Array(repaired.output.utf8)).integer("repaired") == 1)
                }
            }
        }

        @Test func aSyncThatCannotProceedFailsWithItsReason() async throws {
            try await withSimulator { simulator in
                try await Service.run(Service.environment(mongodb: try await uri(), hubspot: simulator.baseURL)) { service in
                    simulator.token = "another"
                    let (status, output, errors) = try await service.command(["sync", "contacts"])
                    #expect(status == 1 && output.contains("hubspot_unauthorized"))
                    #expect(errors.hasPrefix("Error: The sync failed: ") && errors.split(separator: "\n").count == 1, "\(errors)")
                    let followed = try await service.command(["sync", "contacts", "--follow"])
                    #expect(followed.status == 1)
                    #expect(followed.errors.contains("Stopped contacts") && !followed.errors.contains("Synced"), "\(followed.errors)")
                }
            }
        }

        @Test func aSyncThatIsCancelledSaysSo() async throws {
            try await withSimulator({
                $0.contacts = 2_000
                $0.latency = .milliseconds(250)
            }) { simulator in
                try await Service.run(Service.environment(mongodb: try await uri(), hubspot: simulator.baseURL)) { service in
                    let process = try ServiceProcess(["sync", "contacts"], environment: service.commandEnvironment)
                    func ids(_ reply: Service.Reply) -> [String] {
                        (reply.json["runs"] as? [[String: Any]] ?? []).compactMap { $0["id"] as? String }
                    }
                    let runs = try await service.poll("/api/admin/hubspot/sync/runs") { !ids($0).isEmpty }
                    let id = try #require(ids(runs).first)
                    #expect(try await service.send("DELETE", "/api/admin/hubspot/sync/runs/\(id)").status < 300)
                    #expect(await process.exit() == 1)
                    #expect(process.standardError == "Error: The sync was cancelled.\n")
                }
            }
        }

        @Test func theSimulatorSaysThatItsPortIsTaken() async throws {
            let server = try RawServer { _ in .silence }
            defer { server.stop() }
            let (status, _, errors) = try await ServiceProcess.run(["simulate", "--port", "\(server.port)"])
            #expect(status == 1 && errors.contains("Error: Port \(server.port) ") && errors.contains("--port"), "\(errors)")
        }

        /// As HubSpot does during a rotation.
        @Test func theSimulatorSignsWithTheFirstSecret() async throws {
            let server = try RawServer { _ in .http(200, [], []) }
            defer { server.stop() }
            let url = server.url + "/x"
            let process = try ServiceProcess(
                ["simulate", "--port", "0", "--changes-per-second", "20", "--webhook-url", url],
                environment: ["HUBSPOT_CLIENT_SECRET": "new-secret, old-secret"])
            try await eventually { !server.requests.isEmpty }
            #expect(await process.terminate().status == 0)
            let request = server.requests[0]
            let time = try #require(request.header(SignatureHeader.timestamp).flatMap { Int64($0) })
            let expected = try Signer(secret: "new-secret").v3(method: "POST", uri: url, body: request.body, timestampMs: time)
            #expect(request.header(SignatureHeader.signatureV3) == expected)
        }

        @Test func statusRedrawsInPlaceOnATerminal() async throws {
            try await withSimulator { simulator in
                try await Service.run(Service.environment(mongodb: try await uri(), hubspot: simulator.baseURL)) { service in
                    let terminal = try PseudoTerminal()
                    let process = try ServiceProcess(
                        ["status", "--watch"], environment: service.commandEnvironment, standardOutput: terminal.slave)
                    func frames() -> [String] { terminal.textSoFar.components(separatedBy: "\u{1B}[J").filter { $0.contains("mongodb") } }
                    try await eventually { frames().count >= 3 }
                    _ = await process.terminate()
                    let drawn = frames()
                    // The first begins where the cursor is; the others go up by as many lines as the one before has, and wipe nothing else.
                    let lines = drawn[0].count { $0 == "\n" || $0 == "\r\n" }
                    #expect(lines >= 7 && !drawn[0].contains("A\r"))
                    #expect(drawn[1].hasPrefix("\u{1B}[\(lines)A\r"), "\(drawn[1].debugDescription)")
                    #expect(!terminal.textSoFar.contains("\u{1B}[2J"))
                    _ = try await terminal.text()
                }
            }
        }

        @Test func verifyDrawsAProgressBarOnATerminal() async throws {
            try await withSimulator({
                $0.contacts = 2_000
                $0.latency = .milliseconds(100)
            }) { simulator in
                try await Service.run(Service.environment(mongodb: try await uri(), hubspot: simulator.baseURL)) { service in
                    _ = try await service.command(["sync", "contacts"])
                    let terminal = try PseudoTerminal()
                    let process = try ServiceProcess(
                        ["verify", "--sample", "all", "--types", "contacts"], environment: service.commandEnvironment,
                        standardError: terminal.slave)
                    #expect(await process.exit() == 0)
                    let drawn = try await terminal.text()
                    #expect(drawn.contains("█") && drawn.contains(" of 2,000"), "\(drawn)")
                    #expect(Service.Reply(status: 0, body: Array(process.standardOutput.utf8)).integer("checked") == 2_000)
                }
            }
        }

        @Test(arguments: [
            [], ["serve"], ["sync"], ["status"], ["verify"], ["doctor"], ["generate", "models"], ["simulate"], ["webhook", "send"],
        ]) func everyCommandExplainsItself(_ command: [String]) async throws {
            let (status, output, errors) = try await ServiceProcess.run(command + ["--help"])
            #expect(status == 0)
            #expect(output.contains("USAGE: hubspot-sync \(command.joined(separator: " "))"))
            if !command.isEmpty { #expect(output.contains("Examples:\n  hubspot-sync \(command.joined(separator: " "))"), "\(output)") }
            #expect(errors == "")
        }

        @Test(arguments: [
            ["sync", "everything"], ["sync", "contacts", "--limit", "0"], ["sync", "contacts", "--limit=-5"], ["sync", "--limit", "ten"],
            ["status", "--tsv"], ["doctor", "--rejected", "--webhooks-hsmeta"], ["verify", "--sample", "none"], ["verify", "--sample", "0"], ["verify", "--types", "tickets"], ["serve", "now"], ["simulate", "--faults", "2"], ["simulate", "--rate-limit", "fast"], ["fly"],
        ]) func aWrongUseHasItsOwnExitCode(_ arguments: [String]) async throws {
            let (status, output, errors) = try await ServiceProcess.run(arguments, environment: ["ADMIN_API_KEY": Service.adminKey])
            #expect(status == 64)
            #expect(output == "")
            #expect(errors.contains("Error: "), "\(errors)")
        }

        @Test(arguments: [["sync"], ["status"], ["verify"]]) func aCommandWithoutItsServiceSaysWhatToDo(_ command: [String]) async throws {
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
