internal import Bytes
package import Model

/// What list, batch read and search answer with: `results`, and by endpoint `paging`, `total`, `status` and `errors`.
package struct Answer: Sendable {
    package var records: [Record] = []
    var failures: [RecordFailure] = []
    var after: String?
    var total: Int?
    private var status: String?
    private var errors: [BatchError] = []

    /// One entry of `errors`: a cause and the ids that it befell.
    struct BatchError: Sendable {
        var category: String?
        var subCategory: String?
        var message: String?
        var ids: [String] = []
    }

    /// - Throws: when the text is damaged or holds no results at all.
    package init(_ body: [UInt8], _ recordReader: RecordReader) throws {
        var json = JSONReader(body)
        var scanner = recordReader.scanner()
        var hasResults = false
        try json.enterObject()
        while let key = try json.nextKey() {
            if json.matches(key, "results"), try json.peek() == .array {
                hasResults = true
                try json.enterArray()
                while try json.nextElement() {
                    switch try recordReader.read(&json, with: &scanner) {
                    case .success(let record): records.append(record)
                    case .failure(let failure): failures.append(failure)
                    }
                }
            } else if json.matches(key, "paging"), try json.peek() == .object {
                after = try Answer.cursor(&json)
            } else if json.matches(key, "total") {
                total = try json.integerOrSkip().map { Int(clamping: $0) }
            } else if json.matches(key, "status") {
                status = try json.stringOrSkip()
            } else if json.matches(key, "errors"), try json.peek() == .array {
                try json.enterArray()
                while try json.nextElement() { errors.append(try Answer.batchError(&json)) }
            } else {
                try json.skip()
            }
        }
        try json.finish()
        guard hasResults else { throw HubSpotClient.Damage("HubSpot's answer holds no results") }
    }

    /// `next.after` of a `paging` object.
    static func cursor(_ json: inout JSONReader) throws(JSONError) -> String? {
        var after: String?
        try json.enterObject()
        while let key = try json.nextKey() {
            guard json.matches(key, "next"), try json.peek() == .object else {
                try json.skip()
                continue
            }
            try json.enterObject()
            while let key = try json.nextKey() {
                if json.matches(key, "after") { after = try json.textOrNull().map(json.text) } else { try json.skip() }
            }
        }
        return after?.isEmpty == true ? nil : after
    }

    static func batchError(_ json: inout JSONReader) throws(JSONError) -> BatchError {
        var error = BatchError()
        guard try json.peek() == .object else {
            try json.skip()
            return error
        }
        try json.enterObject()
        while let key = try json.nextKey() {
            if json.matches(key, "category") {
                error.category = try json.stringOrSkip()
            } else if json.matches(key, "subCategory") {
                error.subCategory = try json.stringOrSkip()
            } else if json.matches(key, "message") {
                error.message = try json.stringOrSkip()
            } else if json.matches(key, "context"), try json.peek() == .object {
                try json.enterObject()
                while let key = try json.nextKey() {
                    // Associations name theirs in another way.
                    guard json.matches(key, "ids") || json.matches(key, "id") || json.matches(key, "fromObjectId"), try json.peek() == .array else {
                        try json.skip()
                        continue
                    }
                    try json.enterArray()
                    while try json.nextElement() {
                        if let id = try json.textOrNull().map(json.text) { error.ids.append(id) }
                    }
                }
            } else {
                try json.skip()
            }
        }
        return error
    }

    /// What became of each of `ids`. An id counts as missing only when nothing else explains its absence, for a missing record is
    /// going to be taken for deleted.
    func batch(of ids: [String], hiding token: String) -> BatchRead {
        var failures = failures
        var open = ids
        func settle(_ done: some Sequence<String>) {
            let done = Set(done)
            open.removeAll { done.contains($0) }
        }
        settle(records.map(\.id))
        settle(failures.compactMap(\.id))
        // A cause that names no id, or a record without one, may stand for any of the ids that are left.
        var unexplained = failures.first { $0.id == nil }?.message
        for error in errors where error.category != "OBJECT_NOT_FOUND" {
            let message = HubSpotClient.quotable(error.message ?? error.category ?? "HubSpot could not read the record", hiding: token)
            let own = error.ids.filter(open.contains)
            failures += own.map { RecordFailure(id: $0, message: message) }
            settle(own)
            if error.ids.isEmpty { unexplained = message }
        }
        if let status, status != "COMPLETE" { unexplained = "HubSpot did not complete the batch" }
        if let unexplained {
            // Those that HubSpot names as not found are.
            let notFound = Set(errors.filter { $0.category == "OBJECT_NOT_FOUND" }.flatMap(\.ids))
            failures += open.filter { !notFound.contains($0) }.map { RecordFailure(id: $0, message: unexplained) }
            open.removeAll { !notFound.contains($0) }
        }
        return BatchRead(records: records, missing: open, failures: failures)
    }
}
