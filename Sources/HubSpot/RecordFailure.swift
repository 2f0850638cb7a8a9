/// One record that could not be read. Never ends the page or batch that it is in.
public struct RecordFailure: Error, Sendable, Equatable {
    /// Nil when not even the id could be read.
    public let id: String?
    /// For logs and users; no record data.
    public let message: String

    public init(id: String?, message: String) {
        self.id = id
        self.message = message
    }
}
