/// How webhook events are delivered.
public struct DeliverySettings: Sendable {
    /// `object.propertyChange` with `objectTypeId` instead of `contact.propertyChange`.
    public var usesGenericPayloads = false
    /// Properties that are subscribed to; nil: every one. HubSpot needs one subscription a property.
    public var subscribedProperties: Set<String>?
    public var eventsPerRequestMax = 100
    public var requestsInFlightMax = 10
    /// How long an event waits for others to share its request.
    public var gatheringTime = Duration.milliseconds(20)
    /// The time to answer; later is a failure.
    public var deadline = Duration.seconds(5)
    public var retriesMax = 10
    /// HubSpot spreads its retries over 24 hours; this factor shrinks that. 0.0001 makes it 8.64 s.
    public var retryTimeScale = 1.0
    /// The URL that is signed, when a proxy makes it another than the one posted to.
    public var signedURL: String?

    // MARK: Nastiness

    /// Share of events that are sent a second time.
    public var duplicateShare = 0.0
    /// Share of events that are never sent.
    public var droppedShare = 0.0
    /// Events are sent in another order than they happened.
    public var shuffles = false
    /// Every event is held back for a random part of this.
    public var delay = Duration.zero
    /// Share of requests whose signature is wrong.
    public var badSignatureShare = 0.0
    /// Only v1, as the documentation of private apps describes it.
    public var signsV1Only = false

    public init() {}
}
