import Bytes
import Mongo

extension MongoServer {
    /// How a primary stops being one.
    public enum Failover: String, CaseIterable, Sendable {
        /// `kill -9`.
        case killed
        /// Another member is to take over, whether the others have caught up or not.
        case steppedDown = "stepped down"
        /// It stands still with its connections open, and comes back believing that it is primary.
        case frozen
        /// Its writes to disk fail, on which `mongod` aborts.
        case diskFull = "out of disk space"
    }

    /// Takes the primary away, waits for another, brings the old one back, and waits until the set is whole.
    ///
    /// - Parameter outage: how long a frozen one stays frozen after another took over.
    public func failOver(_ kind: Failover, outage: Duration) async throws {
        guard let old = try await primary() else { throw Failure(description: "the replica set has no primary") }
        switch kind {
        case .killed: await old.end(.killed)
        case .frozen: await old.freeze()
        case .steppedDown:
            // It may hang up instead of answering.
            _ = try? await MongoServer.command(
                ["replSetStepDown": 5, "secondaryCatchUpPeriodSecs": 1, "force": true], at: old.uri + MongoServer.brief)
        case .diskFull: await old.end(.diskFull)
        }
        while try await primary(besides: old) == nil { try await Task.sleep(for: .milliseconds(50)) }
        switch kind {
        case .killed, .diskFull: try await old.start()
        case .frozen:
            try await Task.sleep(for: outage)
            await old.thaw()
        case .steppedDown: break
        }
        try await becomeWhole()
    }

    /// Waits until every member is primary or follows one.
    func becomeWhole() async throws {
        while true {
            if let primary = try await primary(),
                // Fails when it is primary no more.
                let status = try? await MongoServer.command(["replSetGetStatus": 1], at: primary.uri + MongoServer.brief),
                let states = status["members"]?.array?.map({ $0.document?["state"]?.integer }), states.allSatisfy({ $0 == 1 || $0 == 2 }), states.contains(1)
            {
                return
            }
            try await Task.sleep(for: .milliseconds(50))
        }
    }

    /// The member that takes writes, if there is one.
    private func primary(besides other: MongoMember? = nil) async throws -> MongoMember? {
        for member in members where member !== other {
            // One that is away is none.
            let hello = try? await MongoServer.command(["hello": 1], at: member.uri + MongoServer.brief)
            if hello?["isWritablePrimary"]?.bool == true { return member }
        }
        try Task.checkCancellation()
        return nil
    }

    private static let brief = "&serverSelectionTimeoutMS=1000&socketTimeoutMS=5000"
}
