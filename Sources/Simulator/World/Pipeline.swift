/// A deal pipeline of the account.
struct Pipeline: Sendable {
    struct Stage: Sendable {
        let id: String
        let label: String
        let probability: String
        var isClosed: Bool { probability == "1.0" || probability == "0.0" }
    }

    let id: String
    let label: String
    let stages: [Stage]

    static let all = [
        Pipeline(
            id: "default", label: "Sales Pipeline",
            stages: [
                Stage(id: "appointmentscheduled", label: "Appointment Scheduled", probability: "0.2"),
                Stage(id: "qualifiedtobuy", label: "Qualified To Buy", probability: "0.4"),
                Stage(id: "presentationscheduled", label: "Presentation Scheduled", probability: "0.6"),
                Stage(id: "decisionmakerboughtin", label: "Decision Maker Bought-In", probability: "0.8"),
                Stage(id: "contractsent", label: "Contract Sent", probability: "0.9"),
                Stage(id: "closedwon", label: "Closed Won", probability: "1.0"),
                Stage(id: "closedlost", label: "Closed Lost", probability: "0.0"),
            ]),
        Pipeline(
            id: "75461220", label: "Renewals · 更新",
            stages: [
                Stage(id: "148309307", label: "Offen", probability: "0.5"),
                Stage(id: "148309308", label: "Won", probability: "1.0"),
                Stage(id: "148309309", label: "Lost", probability: "0.0"),
            ]),
    ]
}
