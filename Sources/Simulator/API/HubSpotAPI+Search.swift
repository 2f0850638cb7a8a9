import Bytes
import Model
import NIOConcurrencyHelpers

extension HubSpotAPI {
    /// - Source: platform page, section 5.6.
    func search(_ type: RecordType, _ call: Call) throws(APIError) -> Answer {
        let body = try body(call)
        var query = SearchQuery()
        let groups = body["filterGroups"]?.array ?? body["filters"].map { [.object(["filters": $0])] } ?? []
        guard groups.count <= 5 else { throw problem("too many filterGroups: \(groups.count), the maximum is 5") }
        for group in groups {
            let filters = group["filters"]?.array ?? []
            guard filters.count <= 6 else { throw problem("too many filters in a group: \(filters.count), the maximum is 6") }
            query.groups.append([])
            for filter in filters { query.groups[query.groups.count - 1].append(try read(filter, type)) }
        }
        guard query.groups.reduce(0, { $0 + $1.count }) <= 18 else { throw problem("too many filters, the maximum is 18") }
        query.groups.removeAll(where: \.isEmpty)
        if let sort = body["sorts"]?.array?.first {
            let name = sort["propertyName"]?.text ?? sort.text ?? ""
            query.sort = name.hasPrefix("-") ? String(name.dropFirst()) : name
            query.isDescending = name.hasPrefix("-") || sort["direction"]?.text?.uppercased() == "DESCENDING"
            try check(query.sort ?? "", type)
        }
        if let text = body["query"]?.text {
            guard text.utf16.count <= 3000 else { throw problem("query is longer than 3000 characters") }
            query.text = text.lowercased()
        }
        let limit = body["limit"]?.integer ?? 10
        guard (1...200).contains(limit) else { throw problem("limit must be from 1 to 200, was \(limit)") }
        var after = 0
        if let cursor = body["after"], cursor != .null, cursor.text?.isEmpty != true {
            guard let number = cursor.integer, number >= 0 else { throw problem("after must be an integer") }
            after = number
        }
        guard after + limit <= World.searchReach else {
            throw problem("Paging is limited to 10000 hits; after \(after) with limit \(limit) is beyond")
        }
        let names = body["properties"]?.array?.compactMap(\.text)
        let (entries, total) = world.search(type, query, after: after, limit: limit)
        var bytes = Array(#"{"total":\#(total),"results":["#.utf8)
        world.state.withLockedValue { state in
            let shelf = state.shelves[type]!
            let view = RecordView(names.flatMap { $0.isEmpty ? nil : $0 }, shelf: shelf, isSearch: true)
            for (place, entry) in entries.enumerated() {
                if place > 0 { bytes.append(UInt8(ascii: ",")) }
                shelf.append(entry, view, portal: portal, to: &bytes)
            }
        }
        bytes += "]".utf8
        if after + limit < total { bytes += #","paging":{"next":{"after":"\#(after + limit)"}}"#.utf8 }
        bytes += "}".utf8
        return Answer(200, json: bytes)
    }

    private func read(_ json: JSONValue, _ type: RecordType) throws(APIError) -> SearchFilter {
        guard let name = json["propertyName"]?.text else { throw problem("propertyName is required") }
        guard let operation = json["operator"]?.text.flatMap(SearchFilter.Operator.init) else {
            throw problem("invalid operator \(json["operator"]?.text ?? "null")")
        }
        var filter = SearchFilter(property: name, operation: operation)
        filter.value = json["value"]?.text ?? ""
        filter.highValue = json["highValue"]?.text ?? ""
        filter.values = json["values"]?.array?.compactMap(\.text) ?? []
        switch operation {
        case .IN, .NOT_IN: guard !filter.values.isEmpty else { throw problem("values is required for \(operation)") }
        case .HAS_PROPERTY, .NOT_HAS_PROPERTY: break
        case .BETWEEN:
            guard !filter.value.isEmpty, !filter.highValue.isEmpty else { throw problem("value and highValue are required") }
        default: guard json["value"]?.text != nil else { throw problem("value is required for \(operation)") }
        }
        try check(name, type)
        return filter
    }

    /// A name that does not exist is an error, but the modified property of another type silently finds nothing.
    private func check(_ name: String, _ type: RecordType) throws(APIError) {
        guard !name.hasPrefix("associations."), name != "lastmodifieddate", name != "hs_lastmodifieddate" else { return }
        guard world.state.withLockedValue({ $0.shelves[type]!.catalog[name] }) != nil else {
            throw APIError(
                status: 400, message: "There was a problem with the request.", category: "VALIDATION_ERROR",
                errors: [
                    APIError.Detail(
                        message: "Property \"\(name)\" does not exist", code: "PROPERTY_DOESNT_EXIST",
                        context: [("propertyName", [name])])
                ])
        }
    }

    private func problem(_ message: String) -> APIError {
        APIError(
            status: 400, message: "There was a problem with the request.", category: "VALIDATION_ERROR",
            errors: [APIError.Detail(message: message, code: "INVALID_REQUEST")])
    }
}
