/// One database of a MongoDB. Its calls run on threads of their own, never on Swift's cooperative ones.
public final class MongoDatabase: Sendable {
    public let name: String
    /// `host:port` of the URI, comma-separated: for logs, without credentials.
    public let hosts: String
    private let connection: MongoConnection

    /// Connects at the first call, not here; only an SRV name is looked up.
    ///
    /// - Throws: `.settings` with a message without credentials when the URI cannot be used.
    public init(_ settings: MongoSettings) throws(MongoError) {
        connection = try MongoConnection(settings)
        name = connection.databaseName
        hosts = connection.hosts
    }

    private init(name: String, connection: MongoConnection) {
        self.name = name
        hosts = connection.hosts
        self.connection = connection
    }

    /// Another database over the same connections and threads.
    public func database(named name: String) -> MongoDatabase { MongoDatabase(name: name, connection: connection) }

    /// Runs `body` on a driver thread. `body` cannot suspend, so no client is ever held across an `await`.
    ///
    /// Cancelling the task drops `body` while it waits for a thread (`CancellationError`); what runs ends by its time-outs.
    public func run<R: Sendable>(_ body: @Sendable @escaping (borrowing MongoClient) throws -> R) async throws -> R {
        try await connection.run { [name, connection] in try body(MongoClient(of: connection, database: name)) }
    }

    /// Waits for the calls in flight and ends the threads, also those of databases made by `database(named:)`. Later calls throw `.closed`.
    public func shutDown() async { await connection.shutDown() }
}
