internal import Curl
public import Model
public import Rules

extension HubSpotClient {
    /// Pages of one list: 100,000 owners.
    private static let definitionPagesMax = 1_000

    /// Everything that HubSpot lists of `set`, but for sensitive properties.
    ///
    /// - Parameter archived: true lists only what was archived. Of pipelines HubSpot lists only those that were not.
    public func definitions(
        _ set: DefinitionSet, archived: Bool = false, as callClass: CallClass
    ) async throws(HubSpotError) -> [Definition] {
        var path: String
        switch set {
        case .properties(let type): path = settings.version.properties(type) + (archived ? "?archived=true" : "")
        case .pipelines(let type):
            guard !archived else { return [] }
            path = settings.version.pipelines(type)
        case .owners: path = settings.version.owners + "?limit=100&archived=\(archived)"
        }
        var definitions: [Definition] = []
        var after: String?
        for _ in 0..<HubSpotClient.definitionPagesMax {
            let cursor = after
            var target = path
            if let cursor { target += (path.contains("?") ? "&" : "?") + "after=" + cursor.percentEncoded }
            let page = try await perform(Call(endpoint: set.collection, path: target), as: callClass) { response in
                let page = try DefinitionReader.read(response.body, set)
                guard page.after == nil || page.after != cursor else { throw Damage("HubSpot's paging does not get on") }
                return page
            }
            definitions += page.definitions
            guard let next = page.after else { return definitions }
            after = next
        }
        throw HubSpotError(.damaged, "HubSpot's list of \(set.collection) does not end")
    }
}
