/// One database of a MongoDB. Its calls run on threads of their own, never on Swift's cooperative ones.
public final class MongoDatabase: Sendable {
    public let name: String
    /// `host:port` of the URI, comma-separated: for logs, without credentials.
    public let hosts: String
    private let connection: MongoConnection
    private let calls: any MongoCalls

    /// Connects at the first call, not here; only an SRV name is looked up.
    ///
    /// - Throws: `.settings` with a message without credentials when the URI cannot be used.
    public init(_ settings: MongoSettings) throws(MongoError) {
        connection = try MongoConnection(settings)
        calls = connection
        name = connection.databaseName
        hosts = connection.hosts
    }

    private init(name: String, connection: MongoConnection, calls: any MongoCalls) {
        self.name = name
        hosts = connection.hosts
        self.connection = connection
        self.calls = calls
    }

    /// Another database over the same connections and threads.
    public func database(named name: String) -> MongoDatabase { MongoDatabase(name: name, connection: connection, calls: calls) }

    /// The same database, whose calls go another way. At most as many may run at once as the settings name threads.
    public func through(_ calls: some MongoCalls) -> MongoDatabase { MongoDatabase(name: name, connection: connection, calls: calls) }

    /// Runs `body` on a driver thread. `body` cannot suspend, so no client is ever held across an `await`.
    ///
    /// Cancelling the task drops `body` while it waits for a thread (`CancellationError`); what runs ends by its time-outs.
    public func run<R: Sendable>(_ body: @Sendable @escaping (borrowing MongoClient) throws -> R) async throws -> R {
        try await calls.run { [name, connection, calls] in try body(MongoClient(of: connection, database: name, calls: calls)) }
    }

    /// Waits for the calls in flight and ends the threads, also those of databases made by `database(named:)`. Later calls throw `.closed`.
    public func shutDown() async { await connection.shutDown() }
}
