internal import Bytes
internal import Curl
public import Model
public import Rules

extension HubSpotClient {
    /// One page of a search. The index lags behind writes by seconds and never holds archived records.
    ///
    /// - Throws: `.rejected` beyond 10,000 hits.
    public func search(_ type: RecordType, _ query: SearchQuery, as callClass: CallClass) async throws(HubSpotError) -> SearchPage {
        let call = Call(
            endpoint: "search", method: "POST", path: settings.version.objects(type) + "/search", body: query.json, lane: .search)
        let recordReader = readers[type] ?? RecordReader(type)
        return try await perform(call, as: callClass) { response in
            let answer = try Answer(response.body, recordReader)
            guard let total = answer.total else { throw Damage("HubSpot's answer holds no total") }
            guard answer.after == nil || answer.after != query.after else { throw Damage("HubSpot's paging does not get on") }
            return SearchPage(records: answer.records, failures: answer.failures, total: total, after: answer.after)
        }
    }
}

extension SearchQuery {
    var json: [UInt8] {
        var writer = JSONWriter(capacity: 512)
        writer.object { writer in
            writer.key("filterGroups")
            writer.array { writer in
                for group in groups {
                    writer.object { writer in
                        writer.key("filters")
                        writer.array { writer in
                            for filter in group { filter.write(&writer) }
                        }
                    }
                }
            }
            // All five are required by HubSpot's description, whether or not there is anything to say.
            writer.key("sorts")
            writer.array { writer in
                if let sortedBy {
                    writer.object { writer in
                        writer.key("propertyName")
                        writer.string(sortedBy)
                        writer.key("direction")
                        writer.string(isAscending ? "ASCENDING" : "DESCENDING")
                    }
                }
            }
            writer.key("properties")
            writer.strings(properties)
            writer.key("limit")
            writer.integer(min(max(1, limit), SearchQuery.limitMax))
            writer.key("after")
            writer.string(after ?? "0")
        }
        return writer.finish()
    }
}

extension SearchQuery.Filter {
    fileprivate func write(_ writer: inout JSONWriter) {
        writer.object { writer in
            writer.key("propertyName")
            writer.string(property)
            writer.key("operator")
            writer.string(comparison.rawValue)
            if let value {
                writer.key("value")
                writer.string(value)
            }
            if let highValue {
                writer.key("highValue")
                writer.string(highValue)
            }
        }
    }
}
