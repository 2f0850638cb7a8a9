import Mongo

extension MongoDatabase {
    /// A database that nobody serves.
    static func away() throws -> MongoDatabase {
        // Port 1 belongs to a service that no machine runs.
        try MongoDatabase(MongoSettings(uri: "mongodb://127.0.0.1:1/away", threads: 2, serverSelectionTimeout: .milliseconds(200)))
    }
}
