internal import CMongo
internal import NIOPosix

/// The driver's client pool and the threads that use it: one client a thread, so none ever waits for another.
///
/// Sendable because `handle` is set once and a `mongoc_client_pool_t` may be used from any thread.
final class MongoConnection: MongoCalls, @unchecked Sendable {
    let handle: OpaquePointer
    let databaseName: String
    let hosts: String
    let timers = CallTimers()
    private let threads: NIOThreadPool

    init(_ settings: MongoSettings) throws(MongoError) {
        MongoLibrary.start
        precondition(settings.threads > 0, "a MongoDB connection needs a thread")
        var error = bson_error_t()
        guard let uri = mongoc_uri_new_with_error(settings.uri, &error) else {
            // The driver's own text may quote the password when an unescaped character has cut the URI at the wrong place.
            throw MongoError(
                .settings,
                message: "not a MongoDB URI; expected mongodb://[user:password@]host[:port]/database, with special characters"
                    + " of the user name and password percent-encoded")
        }
        defer { mongoc_uri_destroy(uri) }
        guard let path = mongoc_uri_get_database(uri), path.pointee != 0 else {
            throw MongoError(.settings, message: "the MongoDB URI names no database; append /hubspot_sync to its hosts")
        }
        databaseName = String(cString: path)
        hosts = MongoConnection.hosts(of: uri)
        // The driver takes both, and then never reaches anybody.
        guard hosts.split(separator: ",").allSatisfy({ $0.contains("[") == $0.contains("]") }) else {
            throw MongoError(.settings, message: "a host of the MongoDB URI has a bracket without its other one; expected [IPv6 address]:port")
        }
        if let mechanism = mongoc_uri_get_auth_mechanism(uri).map({ String(cString: $0) }), !MongoConnection.mechanisms.contains(mechanism) {
            throw MongoError(
                .settings, message: "the MongoDB URI names no authMechanism that there is; expected one of \(MongoConnection.mechanisms.joined(separator: ", "))")
        }
        MongoConnection.apply(settings, to: uri)
        guard let pool = mongoc_client_pool_new_with_error(uri, &error) else {
            // An SRV name that does not resolve, or TLS options that do not fit each other.
            throw error.domain == MONGOC_ERROR_STREAM.rawValue
                ? MongoError(.unreachable, code: error.code, message: "the DNS seed list of the MongoDB URI cannot be read")
                : MongoError(.settings, code: error.code, message: "the options of the MongoDB URI do not fit each other")
        }
        mongoc_client_pool_set_error_api(pool, MONGOC_ERROR_API_VERSION_2)
        mongoc_client_pool_max_size(pool, UInt32(settings.threads))
        mongoc_client_pool_set_appname(pool, settings.applicationName)
        handle = pool
        threads = NIOThreadPool(numberOfThreads: settings.threads)
        threads.start()
    }

    deinit {
        threads.shutdownGracefully { _ in }  // idle by now: each call in flight holds the connection
        mongoc_client_pool_destroy(handle)
    }

    func run<R: Sendable>(_ body: @Sendable @escaping () throws -> R) async throws -> R {
        do {
            return try await threads.runIfActive(body)
        } catch is CancellationError where !Task.isCancelled {
            throw MongoError(.closed, message: "the connection to MongoDB was shut down")
        }
    }

    func shutDown() async {
        // Fails only when it was shut down before, which is what is wanted.
        try? await threads.shutdownGracefully()
    }

    /// - Source: mongoc 1.23, `mongoc_uri_t`, "Authentication options".
    private static let mechanisms = ["SCRAM-SHA-256", "SCRAM-SHA-1", "MONGODB-X509", "MONGODB-AWS", "GSSAPI", "PLAIN"]

    private static func hosts(of uri: OpaquePointer) -> String {
        if let name = mongoc_uri_get_srv_hostname(uri) { return String(cString: name) }
        var names: [String] = []
        var host = mongoc_uri_get_hosts(uri)
        while let current = host {
            withUnsafeBytes(of: current.pointee.host_and_port) { bytes in
                names.append(String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self))
            }
            host = UnsafePointer(current.pointee.next)
        }
        return names.joined(separator: ",")
    }

    private static func apply(_ settings: MongoSettings, to uri: OpaquePointer) {
        func set(_ option: String, _ value: Duration) {
            guard mongoc_uri_get_option_as_int32(uri, option, 0) == 0 else { return }
            mongoc_uri_set_option_as_int32(uri, option, Int32(value.wholeMilliseconds))
        }
        set(MONGOC_URI_SERVERSELECTIONTIMEOUTMS, settings.serverSelectionTimeout)
        set(MONGOC_URI_CONNECTTIMEOUTMS, settings.connectTimeout)
        set(MONGOC_URI_SOCKETTIMEOUTMS, settings.socketTimeout)
        if !mongoc_uri_get_option_as_bool(uri, MONGOC_URI_RETRYWRITES, false) {
            mongoc_uri_set_option_as_bool(uri, MONGOC_URI_RETRYWRITES, true)
        }
        hs_mongo_uri_set_concerns(uri, settings.writeTimeout.wholeMilliseconds)
    }
}
