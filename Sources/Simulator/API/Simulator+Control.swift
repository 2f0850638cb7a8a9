import Bytes
import Model
import NIOConcurrencyHelpers

/// What tests and demos do to the simulator from outside, under `/_simulator`. No credentials, loopback only.
extension Simulator {
    func control(_ call: Call) -> Answer {
        do throws(APIError) {
            return try controlled(call, Array(call.segments.dropFirst()))
        } catch {
            return error.answer(correlationId: "")
        }
    }

    private func controlled(_ call: Call, _ path: [String]) throws(APIError) -> Answer {
        if call.method == "GET" {
            switch path.first {
            case "state": return stateAnswer()
            case "calls": return callsAnswer()
            case "deliveries": return deliveriesAnswer()
            case "records":
                let type = try type(path.dropFirst().first)
                let after = try api.number("after", call, default: 0, in: 0...Int.max)
                let limit = try api.number("limit", call, default: 1000, in: 1...100_000)
                return Answer(200, json: world.truth(type, from: Int64(after), limit: limit))
            case "gone":
                let gone = world.gone(try type(path.dropFirst().first))
                return .object { json in
                    for id in gone.keys.sorted() { json.member(String(id), (gone[id] ?? nil).map { String($0) }) }
                }
            default: throw .noSuchPath
            }
        }
        guard call.method == "POST", let verb = path.first else { throw .noSuchPath }
        let body = call.body.isEmpty ? JSONValue.object([:]) : try api.body(call)
        switch verb {
        case "mutate": return try mutate(body)
        case "bulk-edit":
            let properties = body["properties"]?.properties ?? [:]
            let ids = try changed { () throws(WorldError) in
                try world.bulkEdit(
                    try self.type(body), count: body["count"]?.integer ?? 100, from: Int64(body["from"]?.integer ?? 0), properties)
            }
            return .object { $0.member("changed", ids.count) }
        case "create":
            return id(
                try changed { () throws(WorldError) in try world.create(try type(body), body["properties"]?.properties ?? [:]) })
        case "update":
            return id(
                try changed { () throws(WorldError) in
                    try world.update(try type(body), try number(body, "id"), body["properties"]?.properties ?? [:])
                })
        case "delete": try changed { () throws(WorldError) in try world.archive(try type(body), try number(body, "id")) }
        case "restore": try changed { () throws(WorldError) in try world.restore(try type(body), try number(body, "id")) }
        case "gdpr-delete": try changed { () throws(WorldError) in try world.gdprDelete(try number(body, "id")) }
        case "merge":
            if let keeps = body["keepsPrimary"]?.bool { world.mergeKeepsPrimary = keeps }
            return id(
                try changed { () throws(WorldError) in
                    try world.merge(try type(body), primary: try number(body, "primary"), other: try number(body, "other"))
                })
        case "associate", "dissociate":
            let from = try changed { () throws(WorldError) in try type(body, "from") }
            let to = try changed { () throws(WorldError) in try type(body, "to") }
            let fromId = try changed { () throws(WorldError) in try number(body, "fromId") }
            let toId = try changed { () throws(WorldError) in try number(body, "toId") }
            if verb == "dissociate" {
                world.dissociate(from, fromId, to, toId)
            } else {
                try changed { () throws(WorldError) in
                    try world.associate(from, fromId, to, toId, primary: body["primary"]?.bool ?? false)
                }
            }
        case "faults": faults = try faults(body)
        case "latency": latency = .milliseconds(body["ms"]?.integer ?? 0)
        case "compression": compresses = body["on"]?.bool ?? true
        case "search-lag": world.setSearchLag(.milliseconds(body["ms"]?.integer ?? 0))
        case "scopes": missingScopes = Set(body["missing"]?.array?.compactMap(\.text) ?? [])
        case "reset-calls": resetCalls()
        case "reset-deliveries": resetDeliveries()
        case "webhooks": try webhooks(body)
        default: throw .noSuchPath
        }
        return .object { $0.member("ok", true) }
    }

    // MARK: Reading

    private func type(_ name: String?) throws(APIError) -> RecordType {
        guard let name, let type = RecordType(pathName: name, allowsSingular: true) else { throw .noSuchPath }
        return type
    }

    private func type(_ body: JSONValue, _ name: String = "type") throws(WorldError) -> RecordType {
        guard let type = body[name]?.text.flatMap({ RecordType(pathName: $0, allowsSingular: true) }) else { throw invalid(name) }
        return type
    }

    private func number(_ body: JSONValue, _ name: String) throws(WorldError) -> Int64 {
        guard let number = body[name]?.text.flatMap({ Int64($0) }) else { throw invalid(name) }
        return number
    }

    private func invalid(_ name: String) -> WorldError {
        WorldError(kind: .invalid([.init(property: name, code: "REQUIRED", message: "\(name) is missing or wrong")]))
    }

    @discardableResult
    private func changed<R>(_ body: () throws(WorldError) -> R) throws(APIError) -> R {
        do throws(WorldError) { return try body() } catch { throw APIError(error) }
    }

    private func id(_ id: Int64) -> Answer { .object { $0.member("id", String(id)) } }

    // MARK: Verbs

    private func mutate(_ body: JSONValue) throws(APIError) -> Answer {
        var mix = Mutation.defaultMix
        if case .object(let members)? = body["mix"] {
            mix = [:]
            for (name, weight) in members {
                guard let kind = Mutation(rawValue: name), let weight = weight.double else {
                    throw .validation("unknown change \(name)")
                }
                mix[kind] = weight
            }
        }
        var types: [RecordType] = []
        for name in body["types"]?.array ?? [] { types.append(try type(name.text)) }
        let done = world.mutate(
            changes: body["changes"]?.integer ?? 1, mix: mix, types: types.isEmpty ? RecordType.allCases : types,
            seed: UInt64(body["seed"]?.integer ?? 1))
        return .object { json in for kind in Mutation.allCases { json.member(kind.rawValue, done[kind] ?? 0) } }
    }

    private func faults(_ body: JSONValue) throws(APIError) -> Faults {
        var faults = Faults()
        guard case .object(let members) = body else { throw .validation("an object of shares is required") }
        for (name, value) in members {
            let share = value.double ?? 0
            switch name {
            case "tooManyRequests": faults.tooManyRequests = share
            case "serverError": faults.serverError = share
            case "badGateway": faults.badGateway = share
            case "unavailable": faults.unavailable = share
            case "locked": faults.locked = share
            case "moving": faults.moving = share
            case "movingRetryAfterSeconds": faults.movingRetryAfterSeconds = value.integer ?? 1
            case "cutBody": faults.cutBody = share
            case "reset": faults.reset = share
            case "resetAfterEffect": faults.resetAfterEffect = share
            case "notJSON": faults.notJSON = share
            case "slow": faults.slow = share
            case "slowByMs": faults.slowBy = .milliseconds(value.integer ?? 0)
            case "down": faults.down = value.bool ?? false
            case "downRefuses": faults.downRefuses = value.bool ?? false
            case "mixed": faults = .mixed(share)
            default: throw .validation("unknown fault \(name)")
            }
        }
        return faults
    }

    private func webhooks(_ body: JSONValue) throws(APIError) {
        guard case .object(let members) = body else { throw .validation("an object is required") }
        var settings = webhooks
        for (name, value) in members {
            switch name {
            case "url": guard setWebhookURL(value.text) else { throw .validation("url must begin with http://") }
            case "signedURL": settings.signedURL = value.text
            case "generic": settings.usesGenericPayloads = value.bool ?? false
            case "properties": settings.subscribedProperties = value.array.map { Set($0.compactMap(\.text)) }
            case "duplicateShare": settings.duplicateShare = value.double ?? 0
            case "droppedShare": settings.droppedShare = value.double ?? 0
            case "badSignatureShare": settings.badSignatureShare = value.double ?? 0
            case "shuffles": settings.shuffles = value.bool ?? false
            case "delayMs": settings.delay = .milliseconds(value.integer ?? 0)
            case "deadlineMs": settings.deadline = .milliseconds(value.integer ?? 5000)
            case "gatheringMs": settings.gatheringTime = .milliseconds(value.integer ?? 20)
            case "eventsPerRequest": settings.eventsPerRequestMax = max(1, value.integer ?? 100)
            case "requestsInFlight": settings.requestsInFlightMax = max(1, value.integer ?? 10)
            case "retries": settings.retriesMax = min(30, max(0, value.integer ?? 10))
            case "retryTimeScale": settings.retryTimeScale = value.double ?? 1
            default: throw .validation("unknown setting \(name)")
            }
        }
        webhooks = settings
    }

    // MARK: Answers

    private func deliveriesAnswer() -> Answer {
        let counters = deliveries
        return .object { json in
            json.member("events", counters.events)
            json.member("duplicated", counters.duplicated)
            json.member("withheld", counters.withheld)
            json.member("requests", counters.requests)
            json.member("accepted", counters.accepted)
            json.member("acceptedEvents", counters.acceptedEvents)
            json.member("failed", counters.failed)
            json.member("retried", counters.retried)
            json.member("dropped", counters.dropped)
            json.member("pending", counters.pending)
            json.key("failures")
            json.object { json in
                for name in counters.failures.keys.sorted() { json.member(name, counters.failures[name] ?? 0) }
            }
            json.key("latencyMs")
            json.object { json in
                for (name, value) in [("p50", counters.p50), ("p99", counters.p99), ("max", counters.max)] {
                    json.key(name)
                    json.double(value)
                }
            }
        }
    }

    private func stateAnswer() -> Answer {
        .object { json in
            for type in RecordType.allCases {
                json.key(type.rawValue)
                json.object { json in
                    json.member("live", world.count(type))
                    json.member("archived", world.archivedCount(type))
                    json.member("gone", world.gone(type).count)
                    json.member("properties", world.propertyNames(type).count)
                }
            }
            json.member("calls", callCount)
        }
    }

    private func callsAnswer() -> Answer {
        let log = api.state.withLockedValue { $0.log }
        return .object { json in
            json.member("total", log.total)
            json.member("limited", log.limitedCount)
            json.member("searches", log.searchCount)
            json.member("faults", log.faults)
            json.member("maxIn10Seconds", log.maxInAnyWindow(.seconds(10)))
            json.member("maxAssociationsIn10Seconds", log.maxInAnyWindow(.seconds(10), .associations))
            json.member("maxSearchesIn1Second", log.maxInAnyWindow(.seconds(1), .searches))
            json.key("endpoints")
            json.object { json in
                for label in log.counts.keys.sorted() {
                    json.key(label)
                    json.object { json in
                        for (status, count) in (log.counts[label] ?? [:]).sorted(by: { $0.key < $1.key }) {
                            json.member(String(status), count)
                        }
                    }
                }
            }
        }
    }
}
