import Model
import Sync

extension OpenAPI {
    static var verification: [(String, JSONTree)] {
        let verify = operation(
            "verify",
            "Compares random records of mirror and HubSpot, and says what differs: names, never values. Writes nothing unless it is to repair.",
            parameters: [
                query(
                    "sample", "Records of each type from either side, up to \(Verification.sampleMax), or all.",
                    ["type": "string", "pattern": "^(all|[1-9][0-9]*)$", "default": .text("\(Verification.sampleDefault)")]),
                someTypes,
                query("repair", "Makes what differs equal.", ["type": "boolean", "default": false]),
            ],
            answers: [
                ("200", answer("What was found.", ref("Verification"))), badRequest,
                ("409", answer("Another comparison runs here.", ref("Error"))),
            ])
        return [("/api/admin/hubspot/verify", ["post": verify])]
    }

    static var verificationSchemas: [(String, JSONTree)] {
        let counts: [(String, JSONTree)] = [
            ("checked", described(count, "Records that were compared.")), ("different", described(count, "Those that differ.")),
            ("inFlight", described(count, "Those that differ because they changed just now.")),
            ("repaired", described(count, "Those of different that were made equal.")),
            ("unreadable", described(count, "Records that HubSpot could not read.")),
            ("kinds", closed(Drift.Kind.allCases.map { ($0.rawValue, count) })),
        ]
        return [
            (
                "Verification",
                closed(
                    [
                        ("success", ["const": true]), ("startedAt", instant), ("finishedAt", instant), ("durationMs", count),
                        ("sample", ["type": ["integer", "string"]]), ("repair", flag),
                    ] + counts + [
                        ("byType", ["type": "object", "properties": .object(RecordType.allCases.map { ($0.rawValue, ref("VerificationCounts")) })]),
                        ("differences", ["type": "array", "maxItems": .integer(VerifyReport.differencesMax), "items": ref("Difference")]),
                        (
                            "errorMessages",
                            described(
                                ["type": "array", "maxItems": .integer(VerifyReport.errorMessagesMax), "items": text],
                                "What could not be compared or repaired.")
                        ),
                    ])
            ),
            ("VerificationCounts", closed(counts)),
            (
                "Difference",
                closed([
                    ("type", ["type": "string", "enum": names(RecordType.allCases.map(\.rawValue))]), ("id", text),
                    ("kind", ["type": "string", "enum": names(Drift.Kind.allCases.map(\.rawValue))]),
                    ("names", described(list(text), "Of properties, of fields, or of types of associated records.")),
                ])
            ),
        ]
    }
}
