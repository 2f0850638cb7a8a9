/// How the simulated HubSpot account looks and behaves. Everything has a default that is close to a real account.
public struct SimulatorSettings: Sendable {
    // MARK: Server

    public var host = "127.0.0.1"
    /// 0 picks a free port.
    public var port = 0

    // MARK: Account

    public var token = "pat-sim1-00000000-0000-4000-8000-000000000000"
    public var clientSecret = "yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyy"
    public var appId: Int64 = 54321
    public var portalId: Int64 = 62515

    // MARK: Data

    /// The same seed gives the same records.
    public var seed: UInt64 = 1
    public var contacts = 1000
    public var companies = 200
    public var deals = 300
    /// Set values of each seeded record; the rest is null.
    public var propertiesPerRecord = 60
    /// HubSpot's own property definitions of each type, at most; those that every record has a value for are always there.
    public var standardProperties = 1000
    /// Property definitions of each type beyond HubSpot's own.
    public var customProperties = 20
    /// Records of each type that are in the recycle bin from the start.
    public var archivedFromStart = 0
    /// A merge keeps the primary's id instead of making a third one.
    public var mergeKeepsPrimary = false
    /// An update always moves the record's `updatedAt`, by 1 ms if need be. HubSpot does not promise it: two edits can share a millisecond.
    public var distinctUpdateTimes = true
    /// How long the search index is behind.
    public var searchLag = Duration.zero
    /// Every batch read answers with the state of some instant of this long a past, as replicas that lag behind do.
    public var readLag = Duration.zero

    // MARK: Limits

    /// nil: none, and no headers about it.
    public var rateLimit: RateLimit? = RateLimit(190, per: .seconds(10))
    public var searchRateLimit: RateLimit? = RateLimit(5, per: .seconds(1))
    public var dailyLimit = 1_000_000
    /// A refused call uses up the limit like any other.
    public var rejectedCallsCount = true
    /// A 429 says in `Retry-After` how many seconds to wait.
    public var retryAfterOn429 = false
    /// A longer request target is answered 414 by the edge, as HTML.
    public var urlBytesMax = 8000

    // MARK: Behaviour

    /// Time that every answer takes.
    public var latency = Duration.zero
    /// Answers are compressed (gzip) for who accepts it, as HubSpot's edge does. To make them so takes far longer than to make them.
    public var compresses = false
    public var faults = Faults()
    /// How far the `Date` of its answers is ahead of this machine's clock.
    public var clockSkew = Duration.zero
    /// Scopes that the token lacks, such as `crm.objects.deals.read`.
    public var missingScopes: Set<String> = []
    /// The association API's `toObjectId` as a string, as the specification has it, instead of a number, as the documentation and captures have it.
    public var associationIdsAsStrings = false
    public var listCursors = ListCursors.nextId
    /// Associated ids on one page of an association read.
    public var associationPageSize = 500
    /// The control endpoints under `/_simulator`.
    public var servesControl = true

    // MARK: Webhooks

    /// Where events are posted; nil: nowhere.
    public var webhookURL: String?
    public var webhooks = DeliverySettings()

    public init() {}
}
