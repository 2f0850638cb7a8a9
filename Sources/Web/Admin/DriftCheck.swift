import Bytes
import Model

/// What the status says of the last comparison of the mirror with HubSpot, under `verify`.
struct DriftCheck: Sendable, Equatable {
    let at: Timestamp
    let checked: Int
    let differing: Int

    /// nil for a status without one.
    init?(status: [UInt8]) {
        do {
            var json = JSONReader(status)
            var at: Timestamp?
            var checked: Int64?
            var differing: Int64?
            try json.enterObject()
            while let key = try json.nextKey() {
                guard json.matches(key, "verify"), try json.peek() == .object else {
                    try json.skip()
                    continue
                }
                try json.enterObject()
                while let key = try json.nextKey() {
                    if json.matches(key, "at") {
                        at = try json.stringOrSkip().flatMap { Timestamp(iso8601: $0) }
                    } else if json.matches(key, "checked") {
                        checked = try json.integerOrSkip()
                    } else if json.matches(key, "differing") {
                        differing = try json.integerOrSkip()
                    } else {
                        try json.skip()
                    }
                }
            }
            guard let at, let checked, let differing else { return nil }
            self.at = at
            self.checked = Int(checked)
            self.differing = Int(differing)
        } catch {
            // It is our own JSON, so this does not happen; a page without the line is what is left then.
            return nil
        }
    }
}
