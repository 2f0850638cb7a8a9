/// How to reach a MongoDB. What the URI says about time-outs wins over the values here.
public struct MongoSettings: Sendable {
    /// `mongodb://` or `mongodb+srv://`, with the database as its path.
    public var uri: String
    /// Calls at the same time; each has a thread and a connection of its own.
    public var threads: Int
    /// Shown in the server's log and in `currentOp`.
    public var applicationName: String
    /// How long a call waits for a primary before it is `.unreachable`.
    public var serverSelectionTimeout: Duration
    public var connectTimeout: Duration
    /// How long a call waits for its answer; longer than any `maxTime`, so that the server ends the work first.
    public var socketTimeout: Duration
    /// How long the majority may take to confirm a write.
    public var writeTimeout: Duration

    public init(
        uri: String, threads: Int = 8, applicationName: String = "hubspot-sync", serverSelectionTimeout: Duration = .seconds(2),
        connectTimeout: Duration = .seconds(3), socketTimeout: Duration = .seconds(20), writeTimeout: Duration = .seconds(10)
    ) {
        self.uri = uri
        self.threads = threads
        self.applicationName = applicationName
        self.serverSelectionTimeout = serverSelectionTimeout
        self.connectTimeout = connectTimeout
        self.socketTimeout = socketTimeout
        self.writeTimeout = writeTimeout
    }
}
