public import Curl
internal import FoundationEssentials
public import Logging
internal import Metrics
public import Model
public import Rules

/// The only speaker to HubSpot: every call goes through one limiter, is retried where that makes sense, and is answered completely or
/// by a typed error.
///
/// - Source: platform page, sections 5 to 7.
public final class HubSpotClient: Sendable {
    let settings: HubSpotSettings
    private let driver: any HTTPSender
    private let logger: Logger
    let limiter: Limiter
    let readers: [RecordType: RecordReader]

    /// - Parameter id: names this process, and no other ever, among those that share the account's limits by a ledger: calls then wait
    ///   until one has been looked at. nil: the whole limits are its own.
    public init(settings: HubSpotSettings, driver: any HTTPSender, sharingAs id: String? = nil, logger: Logger) {
        self.settings = settings
        self.driver = driver
        self.logger = logger
        limiter = Limiter(
            general: settings.rateLimit, search: settings.searchRateLimit, pauseWaitMax: settings.pauseWaitMax, sharingAs: id,
            outagePause: settings.outagePause)
        readers = Dictionary(uniqueKeysWithValues: RecordType.allCases.map { ($0, RecordReader($0)) })
    }

    /// Where the account's limits stand now.
    public var budget: BudgetSnapshot {
        get async { await limiter.snapshot }
    }

    /// Whether calls of that class, searches aside, wait for the limit: more of them would not be faster.
    public func isWaiting(_ callClass: CallClass) async -> Bool { await limiter.isWaiting(.general, callClass) }

    // MARK: Sharing

    /// Calls `body` when the ledger should be looked at before its time: urgent calls wait for more than this process has, or others
    /// should hear of a pause.
    public func onBudgetNews(_ body: @escaping @Sendable () -> Void) async { await limiter.setOnNews(body) }

    /// Urgent calls are held back before they wait for the limit: had this process more of it, it would make them.
    public func holdBack() async { await limiter.holdBack(.general) }

    /// What this process writes into the ledger next; see `AccountBudget.propose`.
    public func proposeBudget(
        on ledger: BudgetLedger, storeNow: Timestamp, lookedAt: CoreClock.Instant, isLeaving: Bool = false
    ) async -> AccountBudget.Proposal {
        await limiter.propose(on: ledger, storeNow: storeNow, lookedAt: lookedAt, isLeaving: isLeaving)
    }

    /// It was written.
    public func confirmBudget(_ proposal: AccountBudget.Proposal) async { await limiter.confirm(proposal) }

    /// The ledger cannot be reached now.
    public func budgetStoreIsAway() async { await limiter.storeIsAway() }

    // MARK: Calls

    /// One request, apart from what all have in common.
    struct Call: Sendable {
        /// The label of metrics and logs: few values, no ids.
        let endpoint: String
        var method = "GET"
        /// Path and query.
        let path: String
        var body: [UInt8]?
        var lane = Limiter.Lane.general
        /// Associations have a burst limit of their own, of which the answer's headers speak. Whether their calls count towards the
        /// general one too HubSpot does not say: they keep both.
        var readsAssociations = false
    }

    /// Sends `call` until `decode` can read an answer, or an error is not worth a retry, or tries or time are used up.
    func perform<R: Sendable>(
        _ call: Call, as callClass: CallClass, _ decode: @Sendable (CurlResponse) throws -> R
    ) async throws(HubSpotError) -> R {
        let clock = CoreClock()
        var firstStart: CoreClock.Instant?
        var failures = 0
        while true {
            let permit = try await limiter.acquire(call.lane, callClass, readsAssociations: call.readsAssociations)
            let start = clock.now
            let giveUpAt = (firstStart ?? start) + settings.retryTime
            firstStart = firstStart ?? start
            let (result, response) = await attempt(call, decode)
            let error: HubSpotError?
            switch result {
            case .success: error = nil
            case .failure(let failure): error = failure.error
            }
            // The pause first: `finish` lets the next calls go.
            switch error?.kind {
            case .limited: await limiter.limited(permit, result.policy, retryAfter: error?.retryAfter)
            case .migrating: await limiter.migrating(retryAfter: error?.retryAfter)
            default: break
            }
            var headers = response.map { LimitHeaders($0.headers) }
            if call.readsAssociations { headers = headers?.dailyOnly }
            await limiter.finish(permit, headers: headers)
            if let isAnswer = error.map(\.isAnswer) ?? true { await limiter.heard(isAnswer) }
            record(call, error, response?.status, took: clock.now - start)
            guard let error else {
                guard case .success(let value) = result else { throw .cancelled }
                return value
            }
            failures += 1
            // Who waits for the answer is told soon when nobody else gets one either.
            if callClass == .live, error.isAnswer == false, await limiter.isDown { throw error }
            guard error.isTemporary, failures < settings.attemptsMax, let wait = wait(after: error, failures: failures),
                clock.now + wait < giveUpAt
            else { throw error }
            Counter(label: "hubspot_retries_total", dimensions: [("endpoint", call.endpoint), ("cause", error.name)]).increment()
            logger.info(
                "A call to HubSpot is retried",
                metadata: [
                    "endpoint": "\(call.endpoint)", "cause": "\(error)", "attempt": "\(failures + 1)", "waitMs": "\(wait.milliseconds)",
                    "correlationId": "\(error.correlationId ?? "")",
                ])
            guard (try? await Task.sleep(for: wait, clock: .core)) != nil else { throw .cancelled }
        }
    }

    /// How long to wait before the next attempt; nil when that is longer than a call waits. A pause (429, 477) is the limiter's to
    /// wait out or refuse.
    private func wait(after error: HubSpotError, failures: Int) -> Duration? {
        var random = CoreRandom()
        let jitter = settings.backoff.delay(failures: failures, using: &random)
        switch error.kind {
        case .limited, .migrating: return .zero
        case .locked: return HubSpotClient.lockTime + jitter
        default:
            guard let retryAfter = error.retryAfter else { return jitter }
            return retryAfter <= settings.pauseWaitMax ? retryAfter + jitter : nil
        }
    }

    /// A lock (423) lasts two seconds.
    static let lockTime = Duration.seconds(2)

    private func attempt<R: Sendable>(
        _ call: Call, _ decode: @Sendable (CurlResponse) throws -> R
    ) async -> (Result<R, Failure>, CurlResponse?) {
        var request = CurlRequest(method: call.method, url: settings.baseURL + call.path, body: call.body, timeout: settings.timeout)
        request.headers = [
            ("Authorization", "Bearer \(settings.accessToken)"), ("Accept", "application/json"), ("User-Agent", "hubspot-sync"),
        ]
        if call.body != nil { request.headers.append(("Content-Type", "application/json")) }
        let response: CurlResponse
        do throws(CurlError) {
            response = try await driver.send(request)
        } catch {
            return (.failure(Failure(HubSpotError(error))), nil)
        }
        if let failure = Failure(response, hiding: settings.accessToken) { return (.failure(failure), response) }
        do {
            return (.success(try decode(response)), response)
        } catch {
            let reason = (error as? Damage)?.message ?? Damage(of: response.body, because: error).message
            let error = HubSpotError(.damaged, status: response.status, reason, correlationId: response.correlationId)
            return (.failure(Failure(error)), response)
        }
    }

    private func record(_ call: Call, _ error: HubSpotError?, _ status: Int?, took duration: Duration) {
        // An answer that cannot be read is not counted as the 200 that it claims to be.
        let status = error?.kind == .damaged ? "damaged" : status.map(String.init) ?? error?.name ?? ""
        let (seconds, attoseconds) = duration.components
        Counter(label: "hubspot_calls_total", dimensions: [("endpoint", call.endpoint), ("status", status)]).increment()
        Timer(label: "hubspot_call_duration_seconds", dimensions: [("endpoint", call.endpoint)])
            .recordNanoseconds(seconds * 1_000_000_000 + attoseconds / 1_000_000_000)
    }
}

extension Result where Failure == HubSpotClient.Failure {
    /// Which limit a 429 was about.
    fileprivate var policy: RateBudget.Policy {
        if case .failure(let failure) = self { failure.policy } else { .burst }
    }
}
