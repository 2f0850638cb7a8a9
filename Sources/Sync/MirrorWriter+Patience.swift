import Model
import Mongo
import Store

extension MirrorWriter {
    /// How long a failover of MongoDB is waited out before a sync gives up.
    static let patience: Duration = .seconds(30)

    /// `write`, repeated while MongoDB cannot be reached or does not confirm in time. Writing the same records twice is harmless.
    func writePatiently(_ records: [Record], of type: RecordType, readAt: Timestamp) async throws -> WriteOutcome {
        let deadline = CoreClock.now + MirrorWriter.patience
        var pause: Duration = .milliseconds(100)
        while true {
            do {
                return try await write(records, of: type, at: readAt)
            } catch let error as MongoError where error.isTransient && CoreClock.now + pause < deadline {
                try await Task.sleep(for: pause, clock: .core)
                pause = min(pause * 2, .seconds(3))
            }
        }
    }
}
