import Bytes
import Model
import Rules

extension JSONWriter {
    mutating func timestamp(_ value: Timestamp?) {
        if let value { instant(value) } else { null() }
    }

    mutating func member(_ name: String, _ value: Timestamp?) {
        key(name)
        timestamp(value)
    }
}

extension Run {
    var durationMs: Int64 { ((finishedAt ?? heartbeatAt) - startedAt).milliseconds }

    var pace: Pace { Pace(processed: sum.processed, total: sum.total, elapsed: (finishedAt ?? .now) - startedAt) }

    /// The result as the user specified it; `success` is false only when the run itself could not proceed.
    func writeResult(to json: inout JSONWriter) {
        json.object { json in
            writeResultFields(to: &json)
            if let failureCode {
                json.member("error", errorMessages.first ?? failureCode.sentence)
                json.member("code", failureCode.rawValue)
            }
        }
    }

    private func writeResultFields(to json: inout JSONWriter) {
        let sum = sum
        json.member("success", failureCode == nil)
        json.member("synced", sum.synced)
        json.member("updated", sum.updated)
        json.member("errors", sum.errors)
        json.array("errorMessages") { json in for message in errorMessages { json.string(message) } }
        json.member("unchanged", sum.unchanged)
        json.member("archived", sum.archived)
        json.member("runId", id)
        json.member("durationMs", durationMs)
        json.object("byType") { json in
            for (type, progress) in byType.sorted(by: { $0.key < $1.key }) {
                json.object(type.rawValue) { json in progress.writeCounts(to: &json) }
            }
        }
    }

    /// The run with its progress.
    func write(to json: inout JSONWriter) {
        let pace = pace
        json.object { json in
            json.member("id", id)
            json.member("scope", scope.name)
            json.member("limit", scope.limit)
            json.member("state", state.rawValue)
            json.member("resumptions", resumptions)
            json.member("startedAt", startedAt)
            json.member("finishedAt", finishedAt)
            json.member("processed", sum.processed)
            json.member("total", sum.total)
            writePace(pace, to: &json)
            json.object("byType") { json in
                for (type, progress) in byType.sorted(by: { $0.key < $1.key }) {
                    json.object(type.rawValue) { json in
                        json.member("processed", progress.processed)
                        json.member("total", progress.total)
                        writePace(
                            Pace(processed: progress.processed, total: progress.total, elapsed: (finishedAt ?? .now) - startedAt),
                            to: &json)
                        progress.writeCounts(to: &json)
                    }
                }
            }
            json.key("result")
            if isFinished { writeResult(to: &json) } else { json.null() }
        }
    }

    private func writePace(_ pace: Pace, to json: inout JSONWriter) {
        json.member("ratePerSecond", (pace.perSecond * 10).rounded() / 10)
        json.member("etaMs", isFinished ? nil : pace.remaining.map { Int($0.milliseconds) })
    }
}

extension TypeProgress {
    fileprivate func writeCounts(to json: inout JSONWriter) {
        json.member("synced", synced)
        json.member("updated", updated)
        json.member("errors", errors)
        json.member("unchanged", unchanged)
        json.member("archived", archived)
    }
}

extension Run.FailureCode {
    var sentence: String {
        switch self {
        case .hubspotUnreachable: "HubSpot did not give a usable answer"
        case .hubspotUnauthorized: "HubSpot refused the access token: check HUBSPOT_ACCESS_TOKEN"
        case .hubspotMissingScopes: "The access token lacks a scope"
        case .hubspotRefused: "HubSpot refused the request"
        case .mongodbUnreachable: "MongoDB cannot be reached"
        case .mongodbRefused: "MongoDB refused a write"
        case .interrupted: "The service stopped before the sync was done; start it again"
        case .cancelled: "The sync was cancelled"
        }
    }
}
