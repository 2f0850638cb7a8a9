/// Why MongoDB did not do what it was asked.
public struct MongoError: Error, Sendable, Equatable {
    /// Named by what the caller can do.
    public enum Kind: String, Sendable {
        /// No primary, no connection, or a server that is going down: wait and retry.
        case unreachable
        /// It took too long, or the majority did not confirm in time. The write may have happened: retry what is idempotent.
        case timedOut
        /// A unique index holds the key already: settle.
        case duplicateKey
        /// A bug or bad data; the same call will fail again.
        case rejected
        /// The user name, the password or a permission is wrong.
        case unauthorized
        /// This server does not know the command or the option.
        case unsupported
        /// Our own settings: the URI cannot be used.
        case settings
        /// `shutDown` was called.
        case closed
    }

    public let kind: Kind
    /// The server's code, or the driver's for what never reached a server; 0 for our own.
    public let code: UInt32
    /// For the log; holds no URI, no credentials and no record data.
    public let message: String

    public init(_ kind: Kind, code: UInt32 = 0, message: String) {
        self.kind = kind
        self.code = code
        self.message = message
    }

    /// Whether the same call may well succeed a little later.
    public var isTransient: Bool { kind == .unreachable || kind == .timedOut }

    /// Whether an index was asked for that the collection's documents or other indexes do not permit.
    var refusesIndex: Bool { kind == .rejected || kind == .duplicateKey }

    static let namespaceNotFound: UInt32 = 26
    /// IndexKeySpecsConflict
    static let indexNameIsTaken: UInt32 = 86
}

extension MongoError: CustomStringConvertible {
    public var description: String { code == 0 ? message : "\(message) (code \(code))" }
}
