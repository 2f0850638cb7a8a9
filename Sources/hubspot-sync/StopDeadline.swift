import Dispatch
import Glibc
import Logging
import ServiceLifecycle

/// Ends the process in time when something in it does not: a call to a MongoDB that stands still cannot be cut short.
///
/// The last of the services, so the first to be told of the stop.
struct StopDeadline: Service {
    /// The contract's 10 s, less the time to be noticed.
    private static let seconds = 9.5

    let logger: Logger

    func run() async throws {
        do {
            try await gracefulShutdown()
        } catch {
            return  // a service failed, and nobody asked for the stop
        }
        // On a thread of its own: tasks may wait for one.
        DispatchQueue(label: "stop").asyncAfter(deadline: .now() + StopDeadline.seconds) { [logger] in
            logger.warning("Stopped before everything in hand was finished; its lease ends, and it is taken up again")
            _exit(0)
        }
    }
}
