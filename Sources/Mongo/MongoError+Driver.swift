internal import CMongo

extension MongoError {
    /// What the driver reported, read at once on the thread that called it.
    init(_ error: bson_error_t) {
        let text = withUnsafeBytes(of: error.message) { bytes in
            String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
        }
        switch error.domain {
        case MONGOC_ERROR_SERVER.rawValue, MONGOC_ERROR_WRITE_CONCERN.rawValue:
            self.init(serverCode: error.code, text: text)
        case MONGOC_ERROR_CLIENT.rawValue where error.code == MONGOC_ERROR_CLIENT_AUTHENTICATE.rawValue,
            MONGOC_ERROR_SCRAM.rawValue, MONGOC_ERROR_SASL.rawValue:
            self.init(.unauthorized, code: error.code, message: "MongoDB refuses the user name or the password")
        case MONGOC_ERROR_STREAM.rawValue, MONGOC_ERROR_SERVER_SELECTION.rawValue, MONGOC_ERROR_POOL.rawValue:
            // The driver reports a failed login of a pooled client as a failed server selection.
            if text.contains("Authentication failed") {
                self.init(.unauthorized, code: error.code, message: "MongoDB refuses the user name or the password")
            } else {
                self.init(.unreachable, code: error.code, message: text)
            }
        case MONGOC_ERROR_PROTOCOL.rawValue where error.code == MONGOC_ERROR_PROTOCOL_BAD_WIRE_VERSION.rawValue:
            self.init(.unsupported, code: error.code, message: text)
        default:
            self.init(.rejected, code: error.code, message: MongoError.withoutData(text))
        }
    }

    /// - Parameter code: the server's, of its `error_codes.yml`.
    init(serverCode code: UInt32, text: String) {
        self.init(MongoError.kind(ofServerCode: code), code: code, message: MongoError.withoutData(text))
    }

    private static func kind(ofServerCode code: UInt32) -> Kind {
        switch code {
        case 11000, 11001, 12582: .duplicateKey
        // HostUnreachable, HostNotFound, NetworkTimeout, ShutdownInProgress, UnsatisfiableWriteConcern, FailedToSatisfyReadPreference,
        // ReadConcernMajorityNotAvailableYet, PrimarySteppedDown, SocketException, NotWritablePrimary, InterruptedAtShutdown, Interrupted,
        // InterruptedDueToReplStateChange, NotPrimaryNoSecondaryOk, NotPrimaryOrSecondary, OutOfDiskSpace, and of a read that its
        // server did not survive or dropped: CursorNotFound, QueryPlanKilled, CursorKilled. All pass without a change on our side.
        case 6, 7, 89, 91, 100, 133, 134, 189, 9001, 10107, 11600, 11601, 11602, 13435, 13436, 14031, 43, 175, 237: .unreachable
        // MaxTimeMSExpired, WriteConcernFailed, NetworkInterfaceExceededTimeLimit, IncompleteTransactionHistory (a repeated write whose
        // first try is no longer known), ExceededTimeLimit, LockTimeout, WriteConflict
        case 50, 64, 202, 217, 262, 24, 112: .timedOut
        // Unauthorized, AuthenticationFailed
        case 13, 18: .unauthorized
        // CommandNotFound, CommandNotSupported, IllegalOperation (retryable writes on a storage engine without them)
        case 59, 115, 20: .unsupported
        default: .rejected
        }
    }

    /// The server quotes documents and keys in its messages: what stands before the first of them is enough to know the error.
    private static func withoutData(_ text: String) -> String {
        let cut = text.prefix { $0 != "{" && $0 != "\"" }
        return cut.count < text.count ? cut + "…" : text
    }
}
