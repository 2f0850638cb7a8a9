public import Curl
internal import FoundationEssentials
public import Logging
internal import Metrics
internal import Model
internal import Rules

/// The only speaker to HubSpot: every call goes through one limiter, is retried where that makes sense, and is answered completely or
/// by a typed error.
///
/// - Source: platform page, sections 5 to 7.
public final class HubSpotClient: Sendable {
    let settings: HubSpotSettings
    private let driver: CurlDriver
    private let logger: Logger
    let limiter: Limiter
    let readers: [RecordType: RecordReader]

    public init(settings: HubSpotSettings, driver: CurlDriver, logger: Logger) {
        self.settings = settings
        self.driver = driver
        self.logger = logger
        limiter = Limiter(general: settings.rateLimit, search: settings.searchRateLimit, pauseWaitMax: settings.pauseWaitMax)
        readers = Dictionary(uniqueKeysWithValues: RecordType.allCases.map { ($0, RecordReader($0)) })
    }

    /// Where the account's limits stand now.
    public var budget: BudgetSnapshot {
        get async { await limiter.snapshot }
    }

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
        /// Whether the answer's headers speak of the burst limit. Those of associations speak of a limit of their own, which is higher
        /// or the same, so counting these calls as all others is safe.
        var isBurstLimited = true
    }

    /// Sends `call` until `decode` can read an answer, or an error is not worth a retry, or tries or time are used up.
    func perform<R: Sendable>(
        _ call: Call, as callClass: CallClass, _ decode: @Sendable (CurlResponse) throws -> R
    ) async throws(HubSpotError) -> R {
        let clock = ContinuousClock()
        var firstStart: ContinuousClock.Instant?
        var failures = 0
        while true {
            let permit = try await limiter.acquire(call.lane, callClass)
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
            if !call.isBurstLimited { headers = headers?.dailyOnly }
            await limiter.finish(permit, headers: headers)
            record(call, error, response?.status, took: clock.now - start)
            guard let error else {
                guard case .success(let value) = result else { throw .cancelled }
                return value
            }
            failures += 1
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
            guard (try? await Task.sleep(for: wait)) != nil else { throw .cancelled }
        }
    }

    /// How long to wait before the next attempt; nil when that is longer than a call waits. A pause (429, 477) is the limiter's to
    /// wait out or refuse.
    private func wait(after error: HubSpotError, failures: Int) -> Duration? {
        var random = SystemRandomNumberGenerator()
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
