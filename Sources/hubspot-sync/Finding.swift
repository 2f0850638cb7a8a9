import Bytes

/// One line of what `doctor` found.
struct Finding {
    enum Level: String {
        case ok, warn, error
    }

    let level: Level
    /// What was looked at: `hubspot token`.
    let name: String
    /// How it is and, unless it is well, what to do. Holds no secret.
    let text: String

    var line: String {
        func padded(_ text: String, _ width: Int) -> String { text + String(repeating: " ", count: max(1, width - text.count)) }
        return padded(level.rawValue, 7) + padded(name, 20) + text
    }

    func write(to json: inout JSONWriter) {
        json.object { json in
            json.member("level", level.rawValue)
            json.member("name", name)
            json.member("text", text)
        }
    }
}

/// What was found so far; each finding is told as soon as it is made.
struct Findings {
    private(set) var all: [Finding] = []
    private let tell: (Finding) -> Void

    init(tell: @escaping (Finding) -> Void) { self.tell = tell }

    var errors: Int { all.count { $0.level == .error } }
    var warnings: Int { all.count { $0.level == .warn } }

    mutating func add(_ level: Finding.Level, _ name: String, _ text: String) {
        let finding = Finding(level: level, name: name, text: text)
        all.append(finding)
        tell(finding)
    }

    mutating func ok(_ name: String, _ text: String) { add(.ok, name, text) }
    mutating func warn(_ name: String, _ text: String) { add(.warn, name, text) }
    mutating func error(_ name: String, _ text: String) { add(.error, name, text) }
}
