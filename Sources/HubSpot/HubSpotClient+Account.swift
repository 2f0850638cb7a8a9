internal import Curl
internal import FoundationEssentials
public import Model
public import Rules

extension HubSpotClient {
    /// All properties of a type but the archived and the sensitive ones.
    public func propertyDefinitions(of type: RecordType, as callClass: CallClass) async throws(HubSpotError) -> [PropertyDefinition] {
        try await perform(Call(endpoint: "properties", path: settings.version.properties(type)), as: callClass) { response in
            try JSONDecoder().decode(Results<PropertyDefinition>.self, from: Data(response.body)).results
        }
    }

    public func pipelines(of type: RecordType, as callClass: CallClass) async throws(HubSpotError) -> [Pipeline] {
        try await perform(Call(endpoint: "pipelines", path: settings.version.pipelines(type)), as: callClass) { response in
            try JSONDecoder().decode(Results<Pipeline>.self, from: Data(response.body)).results
        }
    }

    /// One page of the account's owners.
    ///
    /// - Parameter archived: true lists only deactivated ones.
    public func owners(after: String? = nil, archived: Bool = false, as callClass: CallClass) async throws(HubSpotError) -> OwnerPage {
        var path = settings.version.owners + "?limit=100&archived=\(archived)"
        if let after { path += "&after=" + after.percentEncoded }
        return try await perform(Call(endpoint: "owners", path: path), as: callClass) { response in
            let page = try JSONDecoder().decode(Results<Owner>.self, from: Data(response.body))
            let next = page.paging?.next?.after
            guard next == nil || next != after else { throw Damage("HubSpot's paging does not get on") }
            return OwnerPage(owners: page.results, after: next)
        }
    }

    /// The account that the token belongs to: the cheapest way to see whether the token works. From then on the limiter knows when the
    /// account's day ends.
    public func account(as callClass: CallClass) async throws(HubSpotError) -> Account {
        let account = try await perform(Call(endpoint: "account", path: settings.version.account), as: callClass) { response in
            try JSONDecoder().decode(Account.self, from: Data(response.body))
        }
        if let offset = account.utcOffsetMilliseconds { await limiter.setUTCOffset(milliseconds: offset) }
        return account
    }

    private struct Results<Element: Decodable & Sendable>: Decodable, Sendable {
        struct Paging: Decodable, Sendable {
            struct Next: Decodable, Sendable { let after: String? }
            let next: Next?
        }

        let results: [Element]
        let paging: Paging?
    }
}
