import HTTPTypes
import Hummingbird
import ServiceLifecycle

/// One server-sent event.
struct ServerEvent: Sendable, Equatable {
    /// What it is about: of one topic a client gets only what differs from the last.
    let topic: String
    let name: String
    let data: String

    var bytes: ByteBuffer {
        var buffer = ByteBuffer(string: "event: \(name)\n")
        // A line break within the data would end it.
        for line in data.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline) { buffer.writeString("data: \(line)\n") }
        buffer.writeString("\n")
        return buffer
    }
}

/// Answers that go on: server-sent events until there are no more, the client leaves, the service stops, or the login ends.
struct EventStreams: Sendable {
    /// So that a proxy sees life while nothing changes, and a client that left is noticed.
    private static let keepAliveEvery: Duration = .seconds(15)
    private static let keepAlive = ByteBuffer(string: ": still here\n\n")

    let authentication: Authentication

    /// - Parameter values: what changes; of values that come faster than the client reads, the latest counts.
    func response<Value: Sendable>(
        to request: Request, _ values: AsyncStream<Value>, events: @escaping @Sendable (Value) -> [ServerEvent]
    ) -> Response {
        let authentication = authentication
        let body = ResponseBody { writer in
            // One stream of values and of beats.
            let (beats, beat) = AsyncStream<Value?>.makeStream(bufferingPolicy: .bufferingNewest(8))
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    for await value in values.cancelOnGracefulShutdown() { beat.yield(value) }
                    beat.finish()
                }
                group.addTask {
                    while !Task.isCancelled {
                        try await Task.sleep(for: EventStreams.keepAliveEvery)
                        beat.yield(nil)
                    }
                }
                var sent: [String: ServerEvent] = [:]
                for await value in beats {
                    guard authentication.caller(of: request) != nil else { break }
                    guard let value else {
                        try await writer.write(EventStreams.keepAlive)
                        continue
                    }
                    for event in events(value) where sent.updateValue(event, forKey: event.topic) != event {
                        try await writer.write(event.bytes)
                    }
                }
                group.cancelAll()
            }
            try await writer.finish(nil)
        }
        return Response(
            status: .ok, headers: [.contentType: "text/event-stream", .cacheControl: "no-store", .xAccelBuffering: "no"], body: body)
    }

    func response(to request: Request, _ values: AsyncStream<[ServerEvent]>) -> Response { response(to: request, values) { $0 } }
}
