import Bytes
import Curl
import HubSpot
import Logging
import Model
import Rules

/// The `webhooks-hsmeta.json` of a HubSpot project app that tells this service of every change that HubSpot can tell.
///
/// - Source: platform page, sections 2.1 and 2.9.
struct WebhooksFile {
    /// What an app may have.
    static let subscriptionsMax = 1_000
    private static let verbs = ["creation", "deletion", "restore", "merge", "associationChange"]
    /// HubSpot takes no subscription to these.
    private static let notSubscribable: Set<String> = ["hs_lastmodifieddate", "lastmodifieddate", "num_unique_conversion_events"]

    /// A property of which HubSpot may tell changes.
    struct Property: Equatable {
        let name: String
        let isHubSpots: Bool
    }

    /// Objects of `crmObjects` in the order of the file: `{"subscriptionType": …, …}`.
    let subscriptions: [(type: RecordType, verb: String, property: String?)]
    /// Properties that found no room, by type.
    let omitted: [RecordType: Int]

    /// Typed fields first, then the account's own properties, then HubSpot's, and the types in turn, until no more is allowed.
    init(_ properties: [RecordType: [Property]]) {
        var subscriptions: [(type: RecordType, verb: String, property: String?)] = []
        for type in RecordType.allCases { subscriptions += WebhooksFile.verbs.map { (type, $0, nil) } }
        var left = WebhooksFile.subscriptionsMax - subscriptions.count - 1  // the privacy deletion
        var queues: [RecordType: [String]] = [:]
        for type in RecordType.allCases {
            let typed = type.typedFields.map(\.property)
            func rank(_ property: Property) -> Int { typed.contains(property.name) ? 0 : property.isHubSpots ? 2 : 1 }
            queues[type] = (properties[type] ?? []).filter { !WebhooksFile.notSubscribable.contains($0.name) }
                .sorted { (rank($0), $0.name) < (rank($1), $1.name) }.map(\.name)
        }
        var chosen: [RecordType: [String]] = [:]
        while left > 0, queues.values.contains(where: { !$0.isEmpty }) {
            for type in RecordType.allCases where left > 0 && queues[type]?.isEmpty == false {
                chosen[type, default: []].append(queues[type]!.removeFirst())
                left -= 1
            }
        }
        for type in RecordType.allCases { subscriptions += (chosen[type] ?? []).sorted().map { (type, "propertyChange", $0) } }
        self.subscriptions = subscriptions
        omitted = queues.mapValues(\.count).filter { $0.value > 0 }
    }

    /// The file's text, one subscription a line, and the privacy deletion.
    func text(targetURL: String) -> String {
        func json(_ members: [(String, String)], isActive: Bool = true) -> String {
            var writer = JSONWriter(capacity: 128)
            writer.object { json in
                for (name, value) in members { json.member(name, value) }
                if isActive { json.member("active", true) }
            }
            return String(decoding: writer.finish(), as: UTF8.self)
        }
        let lines = subscriptions.map { subscription in
            json(
                [("subscriptionType", "object.\(subscription.verb)"), ("objectType", subscription.type.singular)]
                    + (subscription.property.map { [("propertyName", $0)] } ?? []))
        }
        let target = json([("targetUrl", targetURL)], isActive: false).dropLast()
        return """
            {"uid": "webhooks", "type": "webhooks", "config": {
              "settings": \(target),"maxConcurrentRequests":10},
              "subscriptions": {
                "crmObjects": [
                  \(lines.joined(separator: ",\n      "))],
                "hubEvents": [
                  \(json([("subscriptionType", "contact.privacyDeletion")]))]}}}
            """
    }

    /// Prints the file for the account of this configuration; what it leaves out goes to standard error.
    static func print(_ settings: Settings) async throws {
        guard let url = settings.webhookURL else {
            throw Failure("No target URL: set HUBSPOT_WEBHOOK_URL to the https address that HubSpot shall post to.")
        }
        let driver = CurlDriver()
        let hubspot = HubSpotClient(settings: settings.hubspot, driver: driver, logger: Logger(label: "doctor"))
        var properties: [RecordType: [Property]] = [:]
        for type in RecordType.allCases {
            do {
                properties[type] = try await hubspot.definitions(.properties(type), as: .live).compactMap(Property.init)
            } catch {
                throw Failure("The properties of \(type.rawValue) cannot be read: \(error.message) See 'hubspot-sync doctor'.")
            }
        }
        await driver.shutDown()
        let file = WebhooksFile(properties)
        Swift.print(file.text(targetURL: url))
        for (type, count) in file.omitted.sorted(by: { $0.key < $1.key }) {
            FileHandleOutput.standardError.write(
                "\(count) properties of \(type.rawValue) found no room, as an app may have \(subscriptionsMax) subscriptions: their changes come with the incremental sync.\n")
        }
    }
}

extension WebhooksFile.Property {
    /// nil for one that only HubSpot writes: it tells no changes of those.
    init?(_ definition: Definition) {
        let fields = BSONDocument(bytes: definition.fields)
        let isReadOnly = fields["modificationMetadata"]?.document?["readOnlyValue"]?.bool ?? false
        guard !definition.archived, !isReadOnly, fields["calculated"]?.bool != true else { return nil }
        self.init(name: definition.id, isHubSpots: fields["hubspotDefined"]?.bool ?? false)
    }
}
