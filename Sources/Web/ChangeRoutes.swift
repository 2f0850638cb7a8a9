import Bytes
import HTTPTypes
import Hummingbird
import Model
import NIOCore
import ServiceLifecycle
import Store

/// The mirror's changes as server-sent events, so that a page that shows records updates itself. A client that comes back with the last id
/// it saw misses nothing and gets nothing twice.
struct ChangeRoutes {
    let feed: ChangeFeed
    let changes: MirrorChanges
    let authentication: Authentication

    /// - Parameter group: `/api/admin/hubspot`
    func add(to group: RouterGroup<AppContext>) {
        group.get("changes") { request, _ in try await follow(request) }
    }

    private func follow(_ request: Request) async throws -> Response {
        let types = try request.value("types", "some of contacts, companies, deals, separated by commas") { text -> Set<RecordType>? in
            let types = text.split(separator: ",").map { RecordType(rawValue: String($0)) }
            return types.isEmpty || types.contains(nil) ? nil : Set(types.compactMap(\.self))
        }
        // A browser that reconnects sends the header, with the query that the page once made.
        let since = request.headers[.lastEventID].flatMap { $0.isEmpty ? nil : $0 } ?? request.text("since")
        if let since, !ChangeRoutes.isPosition(since) { throw APIError.badValue(of: "since", "the id of an event of this stream") }
        let (position, news) = try await feed.follow()
        let body = ResponseBody { writer in
            var follower = Follower(changes: changes, types: types ?? Set(RecordType.allCases), last: since ?? position)
            var (position, news) = (position, news)
            follow: while true {
                while let bytes = try await follower.catchUp(to: position) { try await writer.write(bytes) }
                try await writer.write(follower.ready())
                for await item in news.cancelOnGracefulShutdown() {
                    guard authentication.caller(of: request) != nil else { break follow }
                    if let bytes = follower.bytes(of: item) { try await writer.write(bytes) }
                }
                guard !Task.isCancelled, !Task.isShuttingDownGracefully else { break }
                // It was too slow for the stream that all share.
                (position, news) = try await feed.follow()
            }
            try await writer.finish(nil)
        }
        return Response(
            status: .ok, headers: [.contentType: "text/event-stream", .cacheControl: "no-store", .xAccelBuffering: "no"], body: body)
    }

    private static func isPosition(_ text: String) -> Bool {
        (16...1000).contains(text.utf8.count) && text.utf8.count.isMultiple(of: 2) && text.utf8.allSatisfy { (48...57).contains($0) || (65...70).contains($0) }
    }
}

/// One client: where it is, and what it is told.
private struct Follower {
    /// So that a proxy sees life while nothing changes, and the place to go on from does not grow old.
    private static let keepAliveEvery: Duration = .seconds(15)

    let changes: MirrorChanges
    let types: Set<RecordType>
    /// Everything up to here is told.
    var last: String
    private var wroteAt = ContinuousClock.now

    init(changes: MirrorChanges, types: Set<RecordType>, last: String) {
        self.changes = changes
        self.types = types
        self.last = last
    }

    /// The next part of what happened before `target`; nil when all of that is told.
    mutating func catchUp(to target: String) async throws -> ByteBuffer? {
        guard last < target else { return nil }
        do {
            let batch = try await changes.changes(after: last, wait: .milliseconds(1))
            if batch.isBroken { return lost(at: batch.position) }
            // The end of what there is.
            guard batch.position > last else { return nil }
            return tell(batch)
        } catch is StoreError {
            return lost(at: target)
        }
    }

    /// What the client is told of news; nil for nothing.
    mutating func bytes(of news: ChangeFeed.News) -> ByteBuffer? {
        switch news {
        case .lost(let position): return lost(at: position)
        case .batch(let batch):
            let bytes = tell(batch)
            if bytes.readableBytes > 0 { return bytes }
            guard ContinuousClock.now - wroteAt >= Follower.keepAliveEvery else { return nil }
            wroteAt = .now
            // An id without data is noted by the browser and told to nobody.
            return ByteBuffer(string: ": still here\nid: \(last)\n\n")
        }
    }

    /// What came before is told: from here on it is live.
    mutating func ready() -> ByteBuffer { event("ready", last, Array("{}".utf8)) }

    private mutating func lost(at position: String) -> ByteBuffer {
        last = position
        return event("reset", position, Array("{}".utf8))
    }

    private mutating func tell(_ batch: MirrorChanges.Batch) -> ByteBuffer {
        var bytes = ByteBuffer()
        for change in batch.changes where types.contains(change.key.type) && change.position > last {
            bytes.writeImmutableBuffer(event("change", change.position, Follower.json(of: change)))
        }
        last = max(last, batch.position)
        return bytes
    }

    private mutating func event(_ name: String, _ id: String, _ data: [UInt8]) -> ByteBuffer {
        wroteAt = .now
        return ByteBuffer(bytes: Array("id: \(id)\nevent: \(name)\ndata: ".utf8) + data + Array("\n\n".utf8))
    }

    private static func json(of change: RecordChange) -> [UInt8] {
        var json = JSONWriter(capacity: 256)
        json.object { json in
            json.member("type", change.key.type.rawValue)
            json.member("id", change.key.id)
            json.member("kind", change.kind.rawValue)
            switch change.kind {
            case .updated, .archived, .restored:
                json.key("properties")
                if let names = change.properties { json.array { json in for name in names { json.string(name) } } } else { json.null() }
                json.array("associations") { json in for type in change.associations { json.string(type.rawValue) } }
            case .merged: json.member("mergedInto", change.mergedInto)
            case .created, .erased: break
            }
        }
        return json.finish()
    }
}

extension HTTPField.Name {
    static let lastEventID = Self("Last-Event-ID")!
}
