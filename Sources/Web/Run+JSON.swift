import Bytes
import Model
import Rules

extension JSONWriter {
    mutating func timestamp(_ value: Timestamp?) {
        if let value { plain { value.appendISO8601(to: &$0) } } else { null() }
    }

    mutating func integer(_ value: Int?) {
        if let value { integer(value) } else { null() }
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
                json.key("error")
                json.string(errorMessages.first ?? failureCode.sentence)
                json.key("code")
                json.string(failureCode.rawValue)
            }
        }
    }

    private func writeResultFields(to json: inout JSONWriter) {
        let sum = sum
        json.key("success")
        json.bool(failureCode == nil)
        json.key("synced")
        json.integer(sum.synced)
        json.key("updated")
        json.integer(sum.updated)
        json.key("errors")
        json.integer(sum.errors)
        json.key("errorMessages")
        json.array { json in for message in errorMessages { json.string(message) } }
        json.key("unchanged")
        json.integer(sum.unchanged)
        json.key("archived")
        json.integer(sum.archived)
        json.key("runId")
        json.string(id)
        json.key("durationMs")
        json.integer(durationMs)
        json.key("byType")
        json.object { json in
            for (type, progress) in byType.sorted(by: { $0.key < $1.key }) {
                json.key(type.rawValue)
                json.object { json in progress.writeCounts(to: &json) }
            }
        }
    }

    /// The run with its progress.
    func write(to json: inout JSONWriter) {
        let pace = pace
        json.object { json in
            json.key("id")
            json.string(id)
            json.key("scope")
            json.string(scope.name)
            json.key("limit")
            json.integer(scope.limit)
            json.key("state")
            json.string(state.rawValue)
            json.key("startedAt")
            json.timestamp(startedAt)
            json.key("finishedAt")
            json.timestamp(finishedAt)
            json.key("processed")
            json.integer(sum.processed)
            json.key("total")
            json.integer(sum.total)
            writePace(pace, to: &json)
            json.key("byType")
            json.object { json in
                for (type, progress) in byType.sorted(by: { $0.key < $1.key }) {
                    json.key(type.rawValue)
                    json.object { json in
                        json.key("processed")
                        json.integer(progress.processed)
                        json.key("total")
                        json.integer(progress.total)
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
        json.key("ratePerSecond")
        json.double((pace.perSecond * 10).rounded() / 10)
        json.key("etaMs")
        json.integer(isFinished ? nil : pace.remaining.map { Int($0.milliseconds) })
    }
}

extension TypeProgress {
    fileprivate func writeCounts(to json: inout JSONWriter) {
        json.key("synced")
        json.integer(synced)
        json.key("updated")
        json.integer(updated)
        json.key("errors")
        json.integer(errors)
        json.key("unchanged")
        json.integer(unchanged)
        json.key("archived")
        json.integer(archived)
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
