/// Why there is no complete HTTP answer.
public struct CurlError: Error, Sendable, Equatable {
    public enum Kind: String, Sendable {
        /// No connection, so the server saw nothing: wait and retry.
        case connect
        /// The time is up; the server may have seen the request: retry what is harmless to repeat.
        case timeout
        /// The connection is not trustworthy (certificate, protocol): mend the set-up.
        case tls
        /// The connection ended before the answer did, or the answer was not HTTP: retry what is harmless to repeat.
        case cutShort
        /// The body is longer than the caller allows: ask for less.
        case tooLarge
        /// The caller's task was cancelled.
        case cancelled
        /// The driver was shut down.
        case stopped
        /// The request cannot be sent as it stands: a bug of the caller or a bad URL in its configuration.
        case malformed
    }

    public let kind: Kind
    /// For the log: libcurl's words about hosts, ports and times; no header, no body.
    public let message: String

    public init(_ kind: Kind, _ message: String) {
        self.kind = kind
        self.message = message
    }
}

extension CurlError: CustomStringConvertible {
    public var description: String { "\(kind): \(message)" }
}
