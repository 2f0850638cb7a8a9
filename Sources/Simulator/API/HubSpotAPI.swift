import Bytes
import Glibc
import Model
import NIOConcurrencyHelpers

/// HubSpot's REST API over a world: limits, credentials, faults, then the endpoint. Everything is a plain function of a call.
final class HubSpotAPI: Sendable {
    struct State: Sendable {
        var faults: Faults
        var latency: Duration
        var compresses: Bool
        var missingScopes: Set<String>
        var token: String
        var window: RateWindow?
        /// Of associations, beside `window`.
        var associations: RateWindow?
        var secondly: RateWindow
        var searches: RateWindow?
        var dailyUsed = 0
        var log = CallLog()
        var random: SeededRandom
    }

    let world: World
    let settings: SimulatorSettings
    let state: NIOLockedValueBox<State>
    let portal: [UInt8]

    init(world: World, settings: SimulatorSettings) {
        self.world = world
        self.settings = settings
        portal = Array(String(settings.portalId).utf8)
        state = NIOLockedValueBox(
            State(
                faults: settings.faults, latency: settings.latency, compresses: settings.compresses, missingScopes: settings.missingScopes,
                token: settings.token, window: settings.rateLimit.map(RateWindow.init),
                associations: settings.rateLimit.map { RateWindow($0.ofAssociations) }, secondly: RateWindow(RateLimit(19, per: .seconds(1))),
                searches: settings.searchRateLimit.map(RateWindow.init), random: SeededRandom(seed: settings.seed ^ 0xFA17)))
    }

    static func clock() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }

    func answer(_ call: Call) -> Answer {
        let correlationId = correlationId()
        guard call.target.utf8.count <= settings.urlBytesMax else {
            state.withLockedValue { $0.log.note("\(call.method) (URL too long)", 414) }
            return Answer(414, html: "Request-URI Too Large")
        }
        guard let endpoint = Endpoint(call.segments) else {
            state.withLockedValue { $0.log.note("\(call.method) (unknown path)", 404) }
            return finish(APIError.noSuchPath.answer(correlationId: correlationId), correlationId)
        }
        let admission = admit(call, endpoint, correlationId)
        var answer: Answer
        if let refusal = admission.refusal {
            answer = refusal
        } else {
            do throws(APIError) {
                answer = try respond(call, endpoint)
            } catch {
                answer = error.answer(correlationId: correlationId)
            }
            if admission.resetsAfterEffect { answer.manner = .reset }
            if admission.isCut { answer.manner = .cut }
            if admission.isNotJSON { answer.body = Array("\u{0}\u{1}<!-- upstream --> {\"results\": [".utf8) }
        }
        answer.delay += admission.delay
        for header in admission.headers { answer.headers.append(header) }
        let status = answer.manner == .reset ? 0 : answer.status
        state.withLockedValue { $0.log.note("\(call.method) \(endpoint.label)", status) }
        return finish(answer, correlationId)
    }

    private func finish(_ answer: Answer, _ correlationId: String) -> Answer {
        var answer = answer
        answer.headers.append(("x-hubspot-correlation-id", correlationId))
        return answer
    }

    // MARK: Before the endpoint

    private struct Admission {
        var refusal: Answer?
        var headers: [(name: String, value: String)] = []
        var delay = Duration.zero
        var isCut = false
        var isNotJSON = false
        var resetsAfterEffect = false
    }

    private func admit(_ call: Call, _ endpoint: Endpoint, _ correlationId: String) -> Admission {
        state.withLockedValue { state in
            var admission = Admission(delay: state.latency)
            let faults = state.faults
            if faults.down {
                admission.refusal = Answer(503, html: "Service Temporarily Unavailable")
                if faults.downRefuses { admission.refusal?.manner = .reset }
                return admission
            }
            guard let authorization = call.authorization, authorization == "Bearer " + state.token else {
                admission.refusal = APIError.badCredentials.answer(correlationId: correlationId)
                return admission
            }
            if let refusal = limit(call, endpoint, &state, correlationId, &admission.headers) {
                admission.refusal = refusal
                return admission
            }
            // Associations that come with records take the read scopes of both sides.
            let associated = call.list("associations") ?? []
            let scopes = endpoint.scopes(method: call.method)
                + associated.compactMap { RecordType(pathName: $0, allowsSingular: true).map { ["crm.objects.\($0).read"] } }
            let missing = scopes.first { $0.allSatisfy(state.missingScopes.contains) }
            if let missing {
                admission.refusal = APIError.missingScopes(missing).answer(correlationId: correlationId)
                return admission
            }
            strike(faults, &state, &admission, endpoint, correlationId)
            return admission
        }
    }

    /// Counts the call; an answer when a limit is reached.
    private func limit(
        _ call: Call, _ endpoint: Endpoint, _ state: inout State, _ correlationId: String,
        _ headers: inout [(name: String, value: String)]
    ) -> Answer? {
        let time = call.arrival
        state.log.arrived(time, at: endpoint)
        state.dailyUsed += 1
        let isWithinDay = state.dailyUsed <= settings.dailyLimit
        if endpoint.isSearch {
            guard isWithinDay else { return tooMany("DAILY", wait: nil, correlationId) }
            if state.searches?.take(at: time, rejectedCount: settings.rejectedCallsCount) == false {
                return tooMany("SECONDLY", wait: state.searches?.wait(at: time), correlationId)
            }
            return nil
        }
        guard state.window != nil else { return isWithinDay ? nil : tooMany("DAILY", wait: nil, correlationId) }
        var isWithinWindow = state.window!.take(at: time, rejectedCount: settings.rejectedCallsCount)
        var (limit, remaining, wait) = state.window!.view(at: time)
        // Calls about associations are counted twice, and told of the smaller limit. Whether HubSpot's are, it does not say.
        if endpoint.isAboutAssociations, state.associations != nil {
            isWithinWindow = state.associations!.take(at: time, rejectedCount: settings.rejectedCallsCount) && isWithinWindow
            let own = state.associations!.view(at: time)
            (limit, remaining, wait) = (own.limit, own.remaining, max(wait, own.wait))
        }
        _ = state.secondly.take(at: time, rejectedCount: true)
        headers += [
            ("X-HubSpot-RateLimit-Daily", String(settings.dailyLimit)),
            ("X-HubSpot-RateLimit-Daily-Remaining", String(max(0, settings.dailyLimit - state.dailyUsed))),
            ("X-HubSpot-RateLimit-Interval-Milliseconds", String(limit.interval.milliseconds)),
            ("X-HubSpot-RateLimit-Max", String(limit.count)),
            ("X-HubSpot-RateLimit-Remaining", String(remaining)),
            ("X-HubSpot-RateLimit-Secondly", "19"),
            ("X-HubSpot-RateLimit-Secondly-Remaining", String(state.secondly.remaining(at: time))),
        ]
        guard isWithinDay else { return tooMany("DAILY", wait: nil, correlationId) }
        return isWithinWindow ? nil : tooMany("TEN_SECONDLY_ROLLING", wait: wait, correlationId)
    }

    /// - Parameter wait: nanoseconds until a call is allowed again.
    private func tooMany(_ policy: String, wait: Int64?, _ correlationId: String) -> Answer {
        let group =
            switch policy {
            case "DAILY": "publicapi:private-apps-api-calls-daily:\(settings.portalId)"
            case "SECONDLY": "publicapi:crm:search:secondly:\(settings.portalId)"
            default: "publicapi:private_app-api-calls-ten-secondly:\(settings.portalId):\(settings.appId)"
            }
        var answer = Answer.object(429) { json in
            json.member("status", "error")
            json.member("message", "You have reached your \(policy.lowercased()) limit.")
            json.member("errorType", "RATE_LIMIT")
            json.member("correlationId", correlationId)
            json.member("policyName", policy)
            json.member("groupName", group)
            json.member("requestId", correlationId)
        }
        if settings.retryAfterOn429, let wait {
            answer.headers.append(("Retry-After", String(max(1, (wait + 999_999_999) / 1_000_000_000))))
        }
        return answer
    }

    private func strike(
        _ faults: Faults, _ state: inout State, _ admission: inout Admission, _ endpoint: Endpoint, _ correlationId: String
    ) {
        var chance = state.random.unit()
        func hits(_ share: Double) -> Bool {
            defer { chance -= share }
            return chance >= 0 && chance < share
        }
        if hits(faults.tooManyRequests) {
            admission.refusal = tooMany(
                endpoint.isSearch ? "SECONDLY" : "TEN_SECONDLY_ROLLING", wait: 1_000_000_000, correlationId)
        } else if hits(faults.serverError) {
            admission.refusal = APIError(status: 500, message: "internal error").answer(correlationId: correlationId)
        } else if hits(faults.badGateway) {
            admission.refusal = Answer(502, html: "Bad Gateway")
        } else if hits(faults.unavailable) {
            admission.refusal = Answer(503, html: "Service Temporarily Unavailable")
        } else if hits(faults.locked) {
            admission.refusal = APIError(status: 423, message: "This resource is locked", category: "LOCKED")
                .answer(correlationId: correlationId)
        } else if hits(faults.moving) {
            var error = APIError(
                status: 477, message: "This account is being migrated between data centers", category: "MIGRATION_IN_PROGRESS")
            error.headers = [("Retry-After", String(faults.movingRetryAfterSeconds))]
            admission.refusal = error.answer(correlationId: correlationId)
        } else if hits(faults.reset) {
            admission.refusal = Answer(500)
            admission.refusal?.manner = .reset
        } else if hits(faults.resetAfterEffect) {
            admission.resetsAfterEffect = true
        } else if hits(faults.cutBody) {
            admission.isCut = true
        } else if hits(faults.notJSON) {
            admission.isNotJSON = true
        } else if hits(faults.slow) {
            admission.delay += faults.slowBy
        }
        if chance < 0 { state.log.noteFault() }
    }

    /// A UUID of version 7.
    private func correlationId() -> String {
        let (a, b) = state.withLockedValue { ($0.random.next(), $0.random.next()) }
        let high = UInt64(truncatingIfNeeded: world.now()) << 16 | 0x7000 | a & 0xFFF
        let low = 0x8000_0000_0000_0000 | b >> 2
        func hex(_ value: UInt64, _ digits: Int) -> String {
            let text = String(value, radix: 16)
            return String(repeating: "0", count: digits - text.utf8.count) + text
        }
        return
            "\(hex(high >> 32, 8))-\(hex(high >> 16 & 0xFFFF, 4))-\(hex(high & 0xFFFF, 4))-\(hex(low >> 48, 4))-\(hex(low & 0xFFFF_FFFF_FFFF, 12))"
    }

    // MARK: The endpoint

    private func respond(_ call: Call, _ endpoint: Endpoint) throws(APIError) -> Answer {
        switch (call.method, endpoint) {
        case ("GET", .list(let type)): try list(type, call)
        case ("POST", .list(let type)): try create(type, call)
        case ("GET", .record(let type, let id)): try get(type, id, call)
        case ("PATCH", .record(let type, let id)): try update(type, id, call)
        case ("DELETE", .record(let type, let id)): try delete(type, id)
        case ("POST", .batch(let type, let kind)): try batch(type, kind, call)
        case ("POST", .search(let type)): try search(type, call)
        case ("POST", .merge(let type)): try merge(type, call)
        case ("POST", .gdprDelete(let type)): try gdprDelete(type, call)
        case ("GET", .properties(let type)): try properties(type, call)
        case ("POST", .properties(let type)): try createProperty(type, call)
        case ("GET", .property(let type, let name)): try property(type, name)
        case ("GET", .pipelines(let type)): try pipelines(type)
        case ("GET", .pipeline(let type, let id)): try pipeline(type, id, stagesOnly: false)
        case ("GET", .pipelineStages(let type, let id)): try pipeline(type, id, stagesOnly: true)
        case ("GET", .owners): try owners(call)
        case ("GET", .owner(let id)): try owner(id)
        case ("POST", .associations(let from, let to, let kind)): try associations(from, to, kind, call)
        case ("GET", .associationLabels(let from, let to)): associationLabels(from, to)
        case ("GET", .recordAssociations(let from, let id, let to)): try recordAssociations(from, id, to, call)
        case ("PUT", .pair(let from, let id, let to, let other, let isDefault)):
            try associate(from, id, to, other, isDefault: isDefault, call)
        case ("DELETE", .pair(let from, let id, let to, let other, isDefault: false)): try dissociate(from, id, to, other)
        case ("GET", .accountDetails): accountDetails()
        case ("GET", .apiUsage): apiUsage()
        case ("GET", .recordLimits): recordLimits()
        case ("GET", .propertyLimits): propertyLimits()
        default: throw .methodNotAllowed(call.method)
        }
    }

    // MARK: Reading requests

    func body(_ call: Call) throws(APIError) -> JSONValue {
        do throws(JSONError) {
            return try JSONValue(call.body)
        } catch {
            throw .validation("Invalid input JSON on line 1, column 1: \(error)")
        }
    }

    func number(_ name: String, _ call: Call, default value: Int, in range: ClosedRange<Int>) throws(APIError) -> Int {
        guard let text = call.query(name).last else { return value }
        guard let number = Int(text), range.contains(number) else {
            throw .validation("\(name) must be a number from \(range.lowerBound) to \(range.upperBound), was \(text)", in: name)
        }
        return number
    }

    func flag(_ name: String, _ call: Call) throws(APIError) -> Bool {
        guard let text = call.query(name).last else { return false }
        guard let value = Bool(text.lowercased()) else { throw .validation("\(name) must be true or false", in: name) }
        return value
    }

    /// `{"results":[…]}` with paging, as bytes.
    func nextPage(_ after: String, _ call: Call) -> [UInt8] {
        let pairs = call.target.split(separator: "?", maxSplits: 1).dropFirst().first?.split(separator: "&") ?? []
        let query = (pairs.filter { !$0.hasPrefix("after=") }.map(String.init) + ["after=" + after]).joined(separator: "&")
        var json = JSONWriter()
        json.object { json in
            json.key("next")
            json.object { json in
                json.member("after", after)
                json.member("link", "https://\(call.host)\(call.path)?\(query)")
            }
        }
        return json.finish()
    }
}
