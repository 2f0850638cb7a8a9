internal import CMongo
internal import Glibc
internal import Logging

/// libmongoc's state of the whole process. Never cleaned up: the process ends with it.
public enum MongoLibrary {
    /// Takes the name from the shared memory in which libmongoc counts for its `mongoc-stat`, which it makes as soon as it is loaded: for
    /// the first thing that a process does.
    ///
    /// A killed process would leave `/dev/shm/mongoc-<its id>` for ever, and a later one with that id a warning on standard error.
    public static func unlinkCounters() { shm_unlink("/mongoc-\(getpid())") }

    /// Runs once, at the first connection.
    static let start: Void = {
        mongoc_init()
        mongoc_log_set_handler(
            { level, domain, text, _ in
                guard let level = MongoLibrary.level(level), let text else { return }
                let domain = domain.map { String(cString: $0) } ?? ""
                Logger(label: "mongo").log(
                    level: level, "MongoDB driver",
                    metadata: ["domain": "\(domain)", "text": "\(withoutSecrets(String(cString: text), domain: domain))"])
            }, nil)
    }()

    /// A URI carries credentials, and what the driver says of a URI's parts (domain `mongoc`) quotes their values.
    private static func withoutSecrets(_ text: String, domain: String) -> String {
        if text.contains("://") { return "(withheld: holds a URI)" }
        guard domain == "mongoc" else { return text }
        let cut = text.prefix { $0 != "\"" && $0 != "'" && $0 != "[" }
        return cut.count < text.count ? cut + "…" : text
    }

    private static func level(_ level: mongoc_log_level_t) -> Logger.Level? {
        switch level {
        case MONGOC_LOG_LEVEL_ERROR, MONGOC_LOG_LEVEL_CRITICAL: .error
        case MONGOC_LOG_LEVEL_WARNING: .warning
        case MONGOC_LOG_LEVEL_MESSAGE, MONGOC_LOG_LEVEL_INFO: .info
        case MONGOC_LOG_LEVEL_DEBUG: .debug
        default: nil  // trace prints whole messages
        }
    }
}
