import Bytes
import Model
import NIOConcurrencyHelpers
import NIOCore
import Signature

/// Brings events to the webhook receiver as HubSpot does: signed, up to 100 a request and 10 requests at once, repeated when they fail.
final class Deliverer: Sendable {
    fileprivate struct State: Sendable {
        var settings: DeliverySettings
        var address: HTTPPoster.Address?
        var url: String
        /// Events for new requests, oldest first, from `queueStart` on.
        var queue: [WebhookEvent] = []
        var queueStart = 0
        /// Failed requests whose time has come again.
        var again: [[WebhookEvent]] = []
        var inFlight = 0
        var isFlushScheduled = false
        var isStopped = false
        var random: SeededRandom
        var counters = DeliveryCounters()
        var latencies: [Double] = []
        var nextEventId: Int64 = 1_030_198_139
        var subscriptions: [String: Int64] = [:]
        var waiters: [CheckedContinuation<Void, Never>] = []
    }

    private let loop: any EventLoop
    private let poster: HTTPPoster
    private let portalId: Int64
    private let appId: Int64
    private let signer: Signer
    private let wrongSigner: Signer
    private let state: NIOLockedValueBox<State>

    private static let notSubscribable: Set<String> = ["hs_lastmodifieddate", "num_unique_conversion_events"]
    /// HubSpot's retries end after this time.
    private static let retrySpan = 24.0 * 3600
    private static let latenciesMax = 1_000_000

    init(settings: SimulatorSettings, loop: any EventLoop) throws(SignatureError) {
        self.loop = loop
        poster = HTTPPoster(loop: loop)
        portalId = settings.portalId
        appId = settings.appId
        signer = try Signer(secret: settings.clientSecret)
        wrongSigner = try Signer(secret: settings.clientSecret + "?")
        state = NIOLockedValueBox(
            State(
                settings: settings.webhooks, address: settings.webhookURL.flatMap(HTTPPoster.Address.init),
                url: settings.webhookURL ?? "", random: SeededRandom(seed: settings.seed ^ 0x0EB)))
    }

    var settings: DeliverySettings {
        get { state.withLockedValue { $0.settings } }
        set { state.withLockedValue { $0.settings = newValue } }
    }

    /// - Returns: false for a URL that is not `http://…`.
    func setURL(_ url: String?) -> Bool {
        let address = url.flatMap(HTTPPoster.Address.init)
        state.withLockedValue { state in
            state.address = address
            state.url = url ?? ""
        }
        return url == nil || address != nil
    }

    // MARK: In

    /// Takes what happened. Never waits; nothing is kept without a receiver.
    func take(_ events: [WorldEvent]) {
        let (now, later) = state.withLockedValue { state -> ([WebhookEvent], [(WebhookEvent, TimeAmount)]) in
            guard state.address != nil, !state.isStopped else { return ([], []) }
            var taken: [WebhookEvent] = []
            for event in events {
                if case .propertyChange(let name, _) = event.verb {
                    guard !Deliverer.notSubscribable.contains(name), state.settings.subscribedProperties?.contains(name) ?? true
                    else { continue }
                }
                state.counters.events += 1
                if state.settings.droppedShare > 0, state.random.unit() < state.settings.droppedShare {
                    state.counters.withheld += 1
                    continue
                }
                let made = state.made(event)
                taken.append(made)
                if state.settings.duplicateShare > 0, state.random.unit() < state.settings.duplicateShare {
                    state.counters.duplicated += 1
                    taken.append(made)
                }
            }
            // The two events of a privacy deletion come in either order.
            if taken.count == 2, case .privacyDeletion = taken[0].event.verb, state.random.next() % 2 == 0 { taken.swapAt(0, 1) }
            state.counters.pending += taken.count
            let delay = Double(state.settings.delay.nanoseconds)
            guard delay > 0 else { return (taken, []) }
            return ([], taken.map { ($0, .nanoseconds(Int64(state.random.unit() * delay))) })
        }
        if !now.isEmpty { admit(now) }
        for (event, delay) in later { loop.scheduleTask(in: delay) { [self] in admit([event]) } }
    }

    private func admit(_ events: [WebhookEvent]) {
        let wait = state.withLockedValue { state -> TimeAmount? in
            state.queue += events
            guard !state.isFlushScheduled else { return nil }
            state.isFlushScheduled = true
            return .nanoseconds(state.settings.gatheringTime.nanoseconds)
        }
        guard let wait else { return }
        loop.scheduleTask(in: wait) { [self] in
            state.withLockedValue { state in
                state.isFlushScheduled = false
                if state.settings.shuffles { state.queue[state.queueStart...].shuffle(using: &state.random) }
            }
            flush()
        }
    }

    // MARK: Out

    /// Sends what waits, as far as the limit of requests in flight allows. Runs on the loop.
    private func flush() {
        while let batch = nextBatch() { send(batch) }
    }

    private func nextBatch() -> [WebhookEvent]? {
        state.withLockedValue { state in
            guard !state.isStopped, state.inFlight < state.settings.requestsInFlightMax else { return nil }
            if !state.again.isEmpty {
                state.inFlight += 1
                return state.again.removeFirst()
            }
            let waiting = state.queue.count - state.queueStart
            let most = max(1, state.settings.eventsPerRequestMax)
            guard waiting > 0, !state.isFlushScheduled || waiting >= most else { return nil }
            state.inFlight += 1
            return state.takeFromQueue(most)
        }
    }

    private func send(_ batch: [WebhookEvent]) {
        let (settings, address, url, isForged) = state.withLockedValue { state in
            state.counters.requests += 1
            let isForged = state.settings.badSignatureShare > 0 && state.random.unit() < state.settings.badSignatureShare
            return (state.settings, state.address, state.settings.signedURL ?? state.url, isForged)
        }
        guard let address else { return settle(batch, .connection, after: 0) }
        let body = Deliverer.body(batch, portalId: portalId, appId: appId)
        let timestamp = World.wallClock()
        let signature = (isForged ? wrongSigner : signer).headers(method: "POST", uri: url, body: body, timestampMs: timestamp)
        let headers =
            [
                (
                    "User-Agent",
                    "HubSpot Connect 2.0 (http://dev.hubspot.com/) (namespace: webhooks-nio-http-client) - WebhooksExecutorDaemon-executor"
                ),
                ("Content-Type", "application/json"), ("X-HubSpot-Timeout-Millis", "10000"),
                ("Accept-Encoding", "snappy,gzip,deflate"),
            ] + (settings.signsV1Only ? Array(signature.prefix(2)) : signature)
        let start = HubSpotAPI.clock()
        poster.post(address, headers: headers, body: body, deadline: .nanoseconds(settings.deadline.nanoseconds)) {
            [self] outcome in
            settle(batch, outcome, after: Double(HubSpotAPI.clock() - start) / 1e6)
        }
    }

    static func body(_ batch: [WebhookEvent], portalId: Int64, appId: Int64) -> [UInt8] {
        var json = JSONWriter(capacity: batch.count * 320)
        json.array { json in for event in batch { event.write(to: &json, portalId: portalId, appId: appId) } }
        return json.finish()
    }

    private func settle(_ batch: [WebhookEvent], _ outcome: HTTPPoster.Outcome, after milliseconds: Double) {
        let retry = state.withLockedValue { state -> TimeAmount? in
            state.inFlight -= 1
            var failure: String?
            switch outcome {
            case .status(let status):
                state.note(latency: milliseconds, max: Deliverer.latenciesMax)
                if !(200..<300).contains(status) { failure = String(status) }
            case .deadline: failure = "deadline"
            case .connection: failure = "connection"
            }
            guard let failure else {
                state.counters.accepted += 1
                state.counters.acceptedEvents += batch.count
                state.counters.pending -= batch.count
                return nil
            }
            state.counters.failed += 1
            state.counters.failures[failure, default: 0] += 1
            let attempt = batch.map(\.attempt).max() ?? 0
            guard attempt < state.settings.retriesMax, !state.isStopped else {
                state.counters.dropped += batch.count
                state.counters.pending -= batch.count
                return nil
            }
            state.counters.retried += batch.count
            // Each delay is about twice the one before; all together fill the span.
            let share = Double(1 << attempt) / Double((1 << max(1, state.settings.retriesMax)) - 1)
            let seconds = Deliverer.retrySpan * share * (0.5 + state.random.unit()) * state.settings.retryTimeScale
            return .nanoseconds(Int64(seconds * 1e9))
        }
        if let retry {
            let next = batch.map { event in
                var event = event
                event.attempt += 1
                return event
            }
            loop.scheduleTask(in: retry) { [self] in
                state.withLockedValue { $0.again.append(next) }
                flush()
            }
        }
        flush()
        let waiters = state.withLockedValue { state -> [CheckedContinuation<Void, Never>] in
            guard state.counters.pending == 0 else { return [] }
            defer { state.waiters = [] }
            return state.waiters
        }
        for waiter in waiters { waiter.resume() }
    }

    // MARK: Looking

    var counters: DeliveryCounters {
        state.withLockedValue { state in
            var counters = state.counters
            let sorted = state.latencies.sorted()
            if let last = sorted.last {
                counters.p50 = sorted[sorted.count / 2]
                counters.p99 = sorted[min(sorted.count - 1, sorted.count * 99 / 100)]
                counters.max = last
            }
            return counters
        }
    }

    func resetCounters() {
        state.withLockedValue { state in
            let pending = state.counters.pending
            state.counters = DeliveryCounters()
            state.counters.pending = pending
            state.latencies = []
        }
    }

    /// Waits until every event is accepted or given up.
    func settled() async {
        await withCheckedContinuation { continuation in
            let isSettled = state.withLockedValue { state in
                if state.counters.pending == 0 || state.isStopped { return true }
                state.waiters.append(continuation)
                return false
            }
            if isSettled { continuation.resume() }
        }
    }

    func stop() async {
        let waiters = state.withLockedValue { state in
            state.isStopped = true
            defer { state.waiters = [] }
            return state.waiters
        }
        for waiter in waiters { waiter.resume() }
        // It fails only when the loop has ended, and the connections with it.
        try? await loop.submit { [poster] in poster.close() }.get()
    }
}

extension Deliverer.State {
    fileprivate mutating func takeFromQueue(_ most: Int) -> [WebhookEvent] {
        let batch = Array(queue[queueStart...].prefix(most))
        queueStart += batch.count
        // Moving the rest to the front each time would cost a burst of a million events its square.
        if queueStart * 2 > queue.count {
            queue.removeFirst(queueStart)
            queueStart = 0
        }
        return batch
    }

    fileprivate mutating func made(_ event: WorldEvent) -> WebhookEvent {
        var subscription = WebhookEvent.subscriptionType(event, isGeneric: settings.usesGenericPayloads)
        if case .propertyChange(let name, _) = event.verb { subscription += ":" + name }
        let key = subscription + event.type.objectTypeId
        let subscriptionId = subscriptions[key] ?? 4_578_255 + Int64(subscriptions.count)
        subscriptions[key] = subscriptionId
        defer { nextEventId = nextEventId < 4_294_967_295 ? nextEventId + 1 : 1 }
        return WebhookEvent(
            event: event, eventId: nextEventId, subscriptionId: subscriptionId, isGeneric: settings.usesGenericPayloads)
    }

    fileprivate mutating func note(latency: Double, max count: Int) {
        if latencies.count >= count { latencies.removeFirst(count / 2) }
        latencies.append(latency)
    }
}
