import ArgumentParser
import FoundationEssentials
import Model

struct VerifyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify",
        abstract: "Asks a running service to compare its mirror with HubSpot and prints what differs as JSON. Exit code 1 if something does.",
        discussion: """
            Without --repair it changes nothing. What differs only because it changed just now is not counted.

            Examples:
              hubspot-sync verify --sample 500
              hubspot-sync verify --sample all --types deals --repair
            """)

    @Option(help: "Random records of each type, or all. Default: the service's.")
    var sample: String?

    @Option(help: "Some of contacts, companies, deals, separated by commas.")
    var types: String?

    @Flag(help: "Make what differs equal.")
    var repair = false

    @Flag(help: "Print the progress as plain lines where standard error is not a terminal.")
    var follow = false

    @OptionGroup var service: ServiceOptions

    /// A comparison of everything takes as long as a full sync.
    private static let timeout: Duration = .seconds(86_400)

    func validate() throws {
        guard sample.map({ $0 == "all" || (Int($0) ?? 0) > 0 }) ?? true else { throw ValidationError("--sample must be all, or a whole number above 0.") }
        guard (types ?? "contacts").split(separator: ",").allSatisfy({ RecordType(rawValue: String($0)) != nil }) else {
            throw ValidationError("--types must be some of contacts, companies, deals, separated by commas.")
        }
    }

    func run() async throws {
        let client = try service.client()
        let parameters = [sample.map { "sample=\($0)" }, types.map { "types=\($0)" }, repair ? "repair=true" : nil].compactMap(\.self)
        let path = "/api/admin/hubspot/verify" + (parameters.isEmpty ? "" : "?" + parameters.joined(separator: "&"))
        let (status, body) = try await showingProgress(client) { try await client.send("POST", path, timeout: VerifyCommand.timeout) }
        let text = String(decoding: body, as: UTF8.self)
        guard status == 200, let answer = try? JSONDecoder().decode(Answer.self, from: Data(body)) else {
            let problem = try? JSONDecoder().decode(Problem.self, from: Data(body))  // an answer of another form is told by its status
            throw Failure("The service answered \(status): \(problem?.error ?? "no reason given")")
        }
        print(text)
        if answer.different > answer.repaired { throw ExitCode.failure }
    }

    /// Runs `work` and shows meanwhile how many records the service has looked at.
    private func showingProgress<R: Sendable>(_ client: AdminClient, _ work: @Sendable @escaping () async throws -> R) async throws -> R {
        try await withThrowingTaskGroup(of: R?.self) { group in
            group.addTask { try await work() }
            group.addTask {
                await show(client)
                return nil
            }
            defer { group.cancelAll() }
            while let result = try await group.next() { if let result { return result } }
            throw CancellationError()
        }
    }

    /// Until it is cancelled.
    private func show(_ client: AdminClient) async {
        var bar = ProgressBar(printsLines: follow)
        guard bar.isShown else { return }
        let start = ContinuousClock.now
        defer { bar.end() }
        while !Task.isCancelled {
            // A status that cannot be had is only a frame that is left out: the comparison itself says what is wrong.
            if let status = try? await client.call("GET", "/api/admin/hubspot/sync/status", as: StatusAnswer.self), let checked = status.verifying {
                let took = ContinuousClock.now - start
                let rate = Double(checked) / max(0.001, took / .seconds(1))
                let total = sample == "all" ? total(status) : nil
                let left = total.flatMap { rate > 0 ? Duration.seconds(Double(max(0, $0 - checked)) / rate) : nil }
                bar.show("Comparing", processed: checked, total: total.map { max($0, checked) }, perSecond: rate, remaining: left)
            }
            // Cancelled while asleep: the loop's condition ends it.
            try? await Task.sleep(for: .milliseconds(300))
        }
    }

    /// Records of the types that are compared, archived ones too.
    private func total(_ status: StatusAnswer) -> Int? {
        let counts = [("contacts", status.contacts), ("companies", status.companies), ("deals", status.deals)]
        let chosen = types?.split(separator: ",").map(String.init)
        return counts.filter { chosen?.contains($0.0) ?? true }.reduce(Int?.some(0)) { sum, type in
            sum.flatMap { sum in type.1.total.map { sum + $0 + (type.1.archived ?? 0) } }
        }
    }

    private struct Answer: Decodable { let different, repaired: Int }
    private struct Problem: Decodable { let error: String? }
}
