/// Where calls run, and what becomes of them: threads of the driver's own. A test that makes MongoDB fail stands here instead.
public protocol MongoCalls: Sendable {
    /// Runs `body`, which blocks until the server has answered all its commands.
    func run<R: Sendable>(_ body: @Sendable @escaping () throws -> R) async throws -> R
    /// A command is about to be sent. What is thrown is its outcome, and it is not sent.
    func willSend() throws(MongoError)
    /// The server has carried a command out. What is thrown is what the caller hears of it.
    func didSend() throws(MongoError)
}

extension MongoCalls {
    public func willSend() throws(MongoError) {}
    public func didSend() throws(MongoError) {}
}
