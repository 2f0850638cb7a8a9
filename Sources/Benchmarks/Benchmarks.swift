import ArgumentParser
import Dispatch
import Foundation

/// Measures the service beside programs that do only what cannot be avoided, in the same run on the same machine. `deploy/bench` builds it,
/// starts what it needs and runs it.
struct Benchmarks: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "Benchmarks", abstract: "Measures the service beside raw programs.", subcommands: [Micro.self, Macro.self, Loop.self])
}

@main
enum Program {
    static func main() {
        // What counts instructions runs on the first thread, which the concurrency runtime would give up: valgrind cannot follow that.
        guard CommandLine.arguments.dropFirst().first == "macro" else { return Benchmarks.main() }
        Task {
            await Macro.main(Array(CommandLine.arguments.dropFirst(2)))
            exit(0)
        }
        dispatchMain()
    }
}

/// What is wrong with a measurement, in one line.
struct Unmeasurable: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}
