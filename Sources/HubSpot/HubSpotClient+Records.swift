internal import Bytes
internal import Curl
public import Model
public import Rules

extension HubSpotClient {
    /// HubSpot's caps on a page of the list and on the ids of a batch read.
    public static let pageMax = 100
    public static let batchMax = 100
    /// HubSpot answers longer URLs with 414, from about 8,000 bytes on; it publishes no number.
    static let urlBytesMax = 6_000

    /// One page of the list of all records of a type, in the order of their ids.
    ///
    /// Names too long for a URL go another way: the page without properties, then a batch read of its ids, which is a second call.
    /// A record that was deleted or merged away between the two is left out.
    ///
    /// - Parameters:
    ///   - after: the cursor of the page before; nil for the first page.
    ///   - limit: 1...100, others are brought into the range.
    ///   - archived: true lists only archived records.
    ///   - associations: types whose associations come with the records, as far as HubSpot sends them.
    /// - Throws: never for a single record, which becomes a failure of the page.
    public func page(
        of type: RecordType, after: String?, limit: Int, properties: [String], archived: Bool, associations: [RecordType] = [],
        as callClass: CallClass
    ) async throws(HubSpotError) -> RecordPage {
        var path = settings.version.objects(type) + "?limit=\(min(max(1, limit), HubSpotClient.pageMax))&archived=\(archived)"
        if !associations.isEmpty { path += "&associations=" + associations.map(\.rawValue).joined(separator: ",") }
        if let after { path += "&after=" + after.percentEncoded }
        if let names = propertyList(properties, after: path) { return try await list(type, path + names, after, associations, callClass) }
        let page = try await list(type, path, after, associations, callClass)
        let ids = page.records.map(\.id) + page.failures.compactMap(\.id)
        guard !ids.isEmpty else { return page }
        let batch = try await read(type, ids: ids, properties: properties, archived: archived, as: callClass)
        let asked = Dictionary(page.records.map { ($0.id, $0) }, uniquingKeysWith: { $1 })
        let withoutRecord = Set(page.failures.compactMap(\.id))
        // A batch read has no associations: those of the page are theirs.
        let records = batch.records.compactMap { record -> Record? in
            guard let listed = asked[record.id] else { return withoutRecord.contains(record.id) ? record : nil }
            var record = record
            record.associations = listed.associations
            record.truncatedAssociations = listed.truncatedAssociations
            return record
        }
        return RecordPage(
            records: records, failures: batch.failures + page.failures.filter { $0.id == nil },
            after: page.after)
    }

    private func list(
        _ type: RecordType, _ path: String, _ after: String?, _ associations: [RecordType], _ callClass: CallClass
    ) async throws(HubSpotError) -> RecordPage {
        try await perform(Call(endpoint: "list", path: path), as: callClass) { [self] response in
            let answer = try Answer(response.body, self.reader(type))
            guard answer.after == nil || answer.after != after else { throw Damage("HubSpot's paging does not get on") }
            var records = answer.records
            for index in records.indices {
                // HubSpot leaves out a type to which the record has none.
                for other in associations where !records[index].truncatedAssociations.contains(other) {
                    if records[index].associations[other] == nil { records[index].associations[other] = [] }
                }
            }
            return RecordPage(records: records, failures: answer.failures, after: answer.after)
        }
    }

    /// The current state of up to 100 records by id; more ids take several calls.
    ///
    /// - Parameter archived: true finds only archived records.
    public func read(
        _ type: RecordType, ids: [String], properties: [String], archived: Bool, as callClass: CallClass
    ) async throws(HubSpotError) -> BatchRead {
        var seen: Set<String> = []
        let unique = ids.filter { seen.insert($0).inserted }
        // What is not an id cannot exist, and would make HubSpot refuse the whole batch.
        let valid = unique.filter(RecordReader.isId)
        var records: [Record] = []
        var missing = unique.filter { !RecordReader.isId($0) }
        var failures: [RecordFailure] = []
        var start = 0
        while start < valid.count {
            let chunk = Array(valid[start..<min(start + HubSpotClient.batchMax, valid.count)])
            start += chunk.count
            var body = JSONWriter(capacity: 4096)
            body.object { body in
                body.key("inputs")
                body.array { body in
                    for id in chunk {
                        body.object { body in
                            body.key("id")
                            body.string(id)
                        }
                    }
                }
                body.key("properties")
                body.strings(properties)
                body.key("propertiesWithHistory")
                body.strings([])
            }
            let path = settings.version.objects(type) + "/batch/read?archived=\(archived)"
            let call = Call(endpoint: "batch_read", method: "POST", path: path, body: body.finish())
            let batch = try await perform(call, as: callClass) { [self] response in
                try Answer(response.body, self.reader(type)).batch(of: chunk, hiding: self.settings.accessToken)
            }
            records += batch.records
            missing += batch.missing
            failures += batch.failures
        }
        return BatchRead(records: records, missing: missing, failures: failures)
    }

    /// The current state of one record; of a merged-away id that of its survivor, which has another id.
    ///
    /// - Returns: nil when HubSpot has no such record, or has it only among the archived (or not archived) ones.
    public func record(
        _ type: RecordType, id: String, properties: [String], archived: Bool, as callClass: CallClass
    ) async throws(HubSpotError) -> Record? {
        guard RecordReader.isId(id) else { return nil }
        let path = settings.version.objects(type) + "/\(id)?archived=\(archived)"
        guard let list = propertyList(properties, after: path) else {
            let batch = try await read(type, ids: [id], properties: properties, archived: archived, as: callClass)
            if let failure = batch.failures.first, batch.records.isEmpty { throw HubSpotError(.damaged, failure.message) }
            return batch.records.first
        }
        do throws(HubSpotError) {
            return try await perform(Call(endpoint: "record", path: path + list), as: callClass) { [self] response in
                var json = JSONReader(response.body)
                let reader = self.reader(type)
                var scanner = reader.scanner()
                let result = try reader.read(&json, with: &scanner)
                try json.finish()
                switch result {
                case .success(let record): return record
                case .failure(let failure): throw Damage(failure.message)
                }
            }
        } catch {
            if case .notFound = error.kind { return nil }
            throw error
        }
    }

    private func reader(_ type: RecordType) -> RecordReader { readers[type] ?? RecordReader(type) }

    /// `&properties=a,b`, or nil when the URL would become too long.
    private func propertyList(_ properties: [String], after path: String) -> String? {
        guard !properties.isEmpty else { return "" }
        let list = "&properties=" + properties.map(\.percentEncoded).joined(separator: ",")
        return settings.baseURL.utf8.count + path.utf8.count + list.utf8.count <= HubSpotClient.urlBytesMax ? list : nil
    }
}

extension String {
    /// With everything but unreserved characters as `%XX` (RFC 3986).
    var percentEncoded: String {
        func isUnreserved(_ byte: UInt8) -> Bool {
            switch byte {
            case 48...57, 65...90, 97...122, UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "~"): true
            default: false
            }
        }
        if utf8.allSatisfy(isUnreserved) { return self }
        let hex = Array("0123456789ABCDEF".utf8)
        var result: [UInt8] = []
        for byte in utf8 {
            if isUnreserved(byte) { result.append(byte) } else { result += [UInt8(ascii: "%"), hex[Int(byte >> 4)], hex[Int(byte & 15)]] }
        }
        return String(decoding: result, as: UTF8.self)
    }
}

extension JSONWriter {
    mutating func strings(_ values: [String]) {
        array { array in
            for value in values { array.string(value) }
        }
    }
}
