import Bytes
import Model

extension VerifyReport {
    /// The answer to a comparison, and what the status says of the last one.
    func write(to json: inout JSONWriter) {
        json.object { json in
            json.member("success", true)
            json.member("startedAt", startedAt)
            json.member("finishedAt", finishedAt)
            json.member("durationMs", (finishedAt - startedAt).milliseconds)
            json.key("sample")
            if let sample { json.integer(sample) } else { json.string("all") }
            json.member("repair", repair)
            VerifyReport.write(sum, to: &json)
            json.object("byType") { json in
                for (type, counts) in byType.sorted(by: { $0.key < $1.key }) {
                    json.object(type.rawValue) { json in VerifyReport.write(counts, to: &json) }
                }
            }
            json.array("differences") { json in
                for drift in differences {
                    json.object { json in
                        json.member("type", drift.key.type.rawValue)
                        json.member("id", drift.key.id)
                        json.member("kind", drift.kind.rawValue)
                        json.array("names") { json in for name in drift.names { json.string(name) } }
                    }
                }
            }
            json.array("errorMessages") { json in for message in errorMessages { json.string(message) } }
        }
    }

    private static func write(_ counts: Counts, to json: inout JSONWriter) {
        json.member("checked", counts.checked)
        json.member("different", counts.different)
        json.member("inFlight", counts.inFlight)
        json.member("repaired", counts.repaired)
        json.member("unreadable", counts.unreadable)
        json.object("kinds") { json in for kind in Drift.Kind.allCases { json.member(kind.rawValue, counts.kinds[kind, default: 0]) } }
    }
}
