import Model
import Rules

/// Several instances, one store and one limited server in virtual time. Each instance looks at the ledger and writes it as the service
/// does, with its own clock; reads, writes and calls take time, writes may be lost on either way, instances may stall and die.
struct SharingSimulation {
    final class Instance {
        let id: String
        var budget: AccountBudget
        /// Its clock: `offset + rate × time`.
        let offset: Double
        let rate: Double
        var waiting: [CallClass: Int] = [:]
        var isShort: Set<BudgetLane> = []
        var underWay: [(call: RateBudget.Call, endsAt: Double)] = []
        var stalledUntil = 0.0
        var isCutOff = false
        var nextLook = 0.0
        var look: (version: Int, ledger: BudgetLedger, storeNow: Timestamp, asked: Duration, at: Double)?
        var write: (proposal: AccountBudget.Proposal, at: Double, isDone: Bool)?
        var started: [Double] = []
        /// Whether the next call reads associations.
        var readsAssociations = false
        /// Keeps that many full-sync calls waiting.
        var bulk = 0

        init(id: String, limit: RateLimit, offset: Double, rate: Double) {
            self.id = id
            self.offset = offset
            self.rate = rate
            budget = AccountBudget(general: limit, search: RateLimit(calls: 5, interval: .seconds(1)), sharingAs: id)
        }

        func clock(_ time: Double) -> Duration { .seconds(offset + rate * time) }
    }

    let limit: RateLimit
    var server: SlidingServer
    /// The same server's count of calls that read associations.
    var associations: SlidingServer
    var random: SeededGenerator
    private(set) var time = 0.0
    private(set) var instances: [Instance] = []
    private var ledger = BudgetLedger()
    private var version = 0
    private var born = 0
    /// Writes on their way to the store.
    private var posted: [(proposal: AccountBudget.Proposal, version: Int, arrivesAt: Double, by: Instance?)] = []
    private var arrivals: [Double] = []

    /// What may happen.
    var lossShare = 0.0
    var isStoreAway = false
    /// The store's clock against time, as after the election of another server.
    var storeOffset = 1_700_000_000.0
    var callTime: ClosedRange<Double> = 0.05...0.9
    var tellsRemaining = false
    /// Calls that read associations, of all.
    var associationsShare = 0.0

    init(_ limit: RateLimit, seed: UInt64) {
        self.limit = limit
        server = SlidingServer(limit)
        associations = SlidingServer(limit)
        random = SeededGenerator(seed: seed)
    }

    private var storeNow: Timestamp { Timestamp(milliseconds: Int64((storeOffset + time) * 1000)) }

    @discardableResult
    mutating func start() -> Instance {
        born += 1
        let instance = Instance(
            id: "\(born)", limit: limit, offset: Double.random(in: 0...1e6, using: &random), rate: Double.random(in: 0.9995...1.0005, using: &random))
        instance.nextLook = time
        instances.append(instance)
        return instance
    }

    /// As by `kill -9`: what it has sent stays sent.
    mutating func kill(_ instance: Instance) { instances.removeAll { $0 === instance } }

    /// A graceful end, after the last call.
    mutating func leave(_ instance: Instance) {
        let proposal = instance.budget.propose(
            on: ledger, storeNow: storeNow, lookedAt: instance.clock(time), at: instance.clock(time), needs: [:], isLeaving: true)
        ledger = proposal.ledger
        version += 1
        kill(instance)
    }

    /// Calls of the last interval, as the server counts them.
    private var counted: Int {
        let length = Double(limit.interval.milliseconds) / 1000
        return arrivals.reversed().prefix { $0 > time - length }.count
    }

    /// Lets time pass in steps of 20 ms.
    mutating func run(for seconds: Double) {
        let end = time + seconds
        while time < end {
            time += 0.02
            deliverWrites()
            for instance in instances where instance.stalledUntil <= time { step(instance) }
        }
    }

    private mutating func deliverWrites() {
        for write in posted where write.arrivesAt <= time && !isStoreAway {
            guard write.version == version else { continue }
            ledger = write.proposal.ledger
            version += 1
            write.by?.write?.isDone = true
        }
        posted.removeAll { $0.arrivesAt <= time }
    }

    private mutating func step(_ instance: Instance) {
        let now = instance.clock(time)
        for call in instance.underWay where call.endsAt <= time {
            instance.budget[.general].finish(call.call, at: now)
            if tellsRemaining {
                instance.budget[.general].observe(
                    call.call, max: limit.calls, interval: limit.interval, remaining: max(0, limit.calls - counted), at: now)
            }
        }
        instance.underWay.removeAll { $0.endsAt <= time }
        share(instance, now)
        instance.waiting[.full] = max(instance.waiting[.full] ?? 0, instance.bulk)
        while let callClass = instance.waiting.filter({ $0.value > 0 }).keys.min() {
            if instance.readsAssociations, instance.budget[.general].associationsDecision(at: now) != .start { instance.readsAssociations = false }
            guard case .start = instance.budget[.general].decision(for: callClass, at: now) else {
                instance.isShort.insert(.general)
                if callClass.isUrgent, instance.budget.canGrow(.general) { instance.nextLook = min(instance.nextLook, time + 0.03) }
                break
            }
            instance.waiting[callClass, default: 0] -= 1
            let call = instance.budget[.general].start(callClass, readsAssociations: instance.readsAssociations, at: now)
            let length = Double.random(in: callTime, using: &random)
            let arrival = time + length * Double.random(in: 0...1, using: &random)
            server.arrive(at: .seconds(arrival))
            if instance.readsAssociations { associations.arrive(at: .seconds(arrival)) }
            instance.readsAssociations = Double.random(in: 0..<1, using: &random) < associationsShare
            arrivals.append(arrival)
            instance.underWay.append((call, time + length))
            instance.started.append(time)
        }
    }

    /// One step of the service's loop: read, then write, then hear of it.
    private mutating func share(_ instance: Instance, _ now: Duration) {
        if instance.write != nil || instance.look != nil || instance.nextLook <= time, isStoreAway || instance.isCutOff {
            guard instance.nextLook <= time || instance.write != nil || instance.look != nil else { return }
            instance.budget.storeIsAway(at: now)
            (instance.look, instance.write) = (nil, nil)
            instance.nextLook = time + 1
            return
        }
        if let write = instance.write {
            if write.isDone {
                // The answer may be lost: then nobody knows, and it tries again.
                if Double.random(in: 0...1, using: &random) >= lossShare { instance.budget.confirm(write.proposal, at: now) }
                instance.write = nil
                instance.nextLook = time + Double(write.proposal.lookAgainAfter.milliseconds) / 1000
            } else if write.at + 0.1 <= time {
                instance.write = nil  // another was faster, or it is lost or late
                instance.nextLook = time + 0.01
            }
        } else if let look = instance.look, look.at <= time {
            instance.look = nil
            let need = AccountBudget.Need(
                waiting: instance.waiting.values.reduce(0, +),
                urgentWaiting: instance.waiting.reduce(0) { $0 + ($1.key.isUrgent ? $1.value : 0) }, isShort: instance.isShort.contains(.general))
            instance.isShort = []
            let proposal = instance.budget.propose(
                on: look.ledger, storeNow: look.storeNow, lookedAt: look.asked, at: now, needs: [.general: need])
            instance.write = (proposal, time, false)
            // Lost on its way, or delayed beyond all patience: it may arrive much later.
            let isLost = Double.random(in: 0...1, using: &random) < lossShare
            let delay = isLost ? Double.random(in: 0.2...3, using: &random) : Double.random(in: 0.002...0.03, using: &random)
            posted.append((proposal, look.version, time + delay, isLost ? nil : instance))
        } else if instance.look == nil, instance.nextLook <= time {
            instance.look = (version, ledger, storeNow, now, time + Double.random(in: 0.001...0.02, using: &random))
        }
    }
}
