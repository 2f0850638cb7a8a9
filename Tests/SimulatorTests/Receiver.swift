import Foundation
import NIOConcurrencyHelpers

@testable import Simulator

/// A webhook receiver that keeps what it gets and answers as told.
final class Receiver: Sendable {
    struct State: Sendable {
        var calls: [Call] = []
        /// Statuses of the next answers; 200 when there are none left.
        var statuses: [Int] = []
    }

    let state: NIOLockedValueBox<State>
    private let server: HTTPServer

    init(statuses: [Int] = [], delay: Duration = .zero) {
        let state = NIOLockedValueBox(State(statuses: statuses))
        self.state = state
        server = HTTPServer { call in
            state.withLockedValue { state in
                state.calls.append(call)
                var answer = Answer(state.statuses.isEmpty ? 200 : state.statuses.removeFirst())
                answer.delay = delay
                return answer
            }
        }
    }

    /// - Returns: the URL to post to.
    func start() async throws -> String {
        "http://127.0.0.1:\(try await server.start(host: "127.0.0.1", port: 0))/hubspot/webhooks"
    }

    func stop() async { await server.stop() }

    var calls: [Call] { state.withLockedValue { $0.calls } }

    /// All events in the order of their arrival.
    var events: [[String: Any]] {
        calls.flatMap { (try? JSONSerialization.jsonObject(with: Data($0.body))) as? [[String: Any]] ?? [] }
    }
}
