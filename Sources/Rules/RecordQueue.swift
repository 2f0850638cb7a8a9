public import Model

/// Which records wait to be read again, which are being read, and which deliveries are answered for by them.
///
/// The unit of work is the record: any number of events for a waiting record are one task. A record that is hit again while it
/// is being read runs once more afterwards, never twice at once. A value; the pool carries its decisions out.
public struct RecordQueue: Sendable {
    /// A delivery in the inbox, by a number that its owner gave it.
    public typealias Delivery = Int

    /// Everything that the events of a record asked for while it waited.
    public struct Task: Sendable, Equatable {
        public let key: RecordKey
        public var wish: Wish
        /// Attempts in a row that did not bring it to its end, for whatever reason.
        public var attempt = 0
        /// Those whose answer was older than the newest event. An outage counts for nothing here, and a newer event begins anew.
        public fileprivate(set) var staleReads = 0
        /// Those that failed by the record itself.
        public fileprivate(set) var failures = 0
        /// When the first of its events came in.
        public var queuedAt: Timestamp
        fileprivate(set) public var deliveries: Set<Delivery>

        /// A look at a record that no delivery asked for.
        public init(key: RecordKey, at now: Timestamp) {
            self.init(key: key, wish: Wish(), queuedAt: now, deliveries: [])
        }

        fileprivate init(key: RecordKey, wish: Wish, queuedAt: Timestamp, deliveries: Set<Delivery>) {
            self.key = key
            self.wish = wish
            self.queuedAt = queuedAt
            self.deliveries = deliveries
        }
    }

    /// What has to be true of a record when its task is done. Wishes of several events add up.
    public struct Wish: Sendable, Equatable {
        /// The record was changed at this instant: a read that is older has to be repeated. Nil when no event said when.
        public var changedAt: Timestamp?
        /// Its associations to these types changed.
        public var associations: Set<RecordType> = []
        /// Those at the other ends were told nothing of it.
        public var isMutual = false
        /// Its data must be erased everywhere and stay erased.
        public var isErasure = false
        /// These ids were merged into it.
        public var mergedIds: Set<String> = []

        public init(changedAt: Timestamp? = nil) { self.changedAt = changedAt }

        public mutating func add(_ other: Wish) {
            if let theirs = other.changedAt { changedAt = max(changedAt ?? theirs, theirs) }
            associations.formUnion(other.associations)
            isMutual = isMutual || other.isMutual
            isErasure = isErasure || other.isErasure
            mergedIds.formUnion(other.mergedIds)
        }
    }

    public enum Outcome: Sendable {
        /// The mirror holds what HubSpot holds.
        case done
        /// To be tried again at that instant.
        case retry(at: Timestamp, because: Cause = .away)
        /// Given up; the record says why.
        case failed
    }

    /// Why a record is tried again. Each cause has an end of its own, so that hours of one do not use up the patience with another.
    public enum Cause: Sendable {
        /// HubSpot or MongoDB could not be asked.
        case away
        /// The answer was older than the event.
        case stale
        /// The record itself failed.
        case broken
    }

    private enum State {
        case waiting(Task)
        /// `next` is what came in meanwhile.
        case running(Task, next: Task?)
        case retrying(Task, at: Timestamp)
    }

    private var states: [RecordKey: State] = [:]
    /// Keys in order of arrival. A key whose state is no longer `waiting` is passed over.
    private var lines: [RecordType: Line] = [:]
    private var retries = Heap()
    public private(set) var waitingCount = 0
    public private(set) var runningCount = 0
    public private(set) var retryingCount = 0

    public init() {}

    /// Records that wait, run or are to be tried again.
    public var count: Int { states.count }

    /// When the oldest unfinished event came in; nil when there is none. Walks all records: for a status page, not for a loop.
    public var oldest: Timestamp? {
        states.values.lazy.map { state in
            switch state {
            case .waiting(let task), .running(let task, _), .retrying(let task, _): task.queuedAt
            }
        }.min()
    }

    /// When the next retry is due; nil when there is none.
    public var nextRetry: Timestamp? { retries.first }

    /// Notes an event. One that hits a record in backoff brings it back at once: something changed.
    public mutating func add(_ key: RecordKey, _ wish: Wish, of delivery: Delivery?, at now: Timestamp) {
        switch states[key] {
        case nil:
            wait(Task(key: key, wish: wish, queuedAt: now, deliveries: delivery.map { [$0] } ?? []))
        case .waiting(var task):
            task.add(wish, delivery)
            states[key] = .waiting(task)
        case .retrying(var task, _):
            retryingCount -= 1
            task.add(wish, delivery)
            wait(task)
        case .running(let task, var next):
            if next == nil { next = Task(key: key, wish: Wish(), queuedAt: now, deliveries: []) }
            next?.add(wish, delivery)
            states[key] = .running(task, next: next)
        }
    }

    /// What is to be tried again by now waits again.
    ///
    /// - Returns: whether there was any.
    @discardableResult
    public mutating func takeUpRetries(at now: Timestamp) -> Bool {
        let before = waitingCount
        while let due = retries.first, due <= now {
            let key = retries.removeFirst()
            // An event may have brought it back before, or a later retry may have replaced this one.
            if case .retrying(let task, let at) = states[key], at <= now {
                retryingCount -= 1
                wait(task)
            }
        }
        return waitingCount > before
    }

    /// Up to `max` waiting records of one type, the type whose head has waited longest; empty when nothing waits.
    public mutating func nextBatch(max: Int, at now: Timestamp) -> [Task] {
        takeUpRetries(at: now)
        var oldest: (type: RecordType, task: Task)?
        for type in RecordType.allCases {
            if let head = head(of: type), oldest.map({ head.queuedAt < $0.task.queuedAt }) ?? true { oldest = (type, head) }
        }
        guard let type = oldest?.type else { return [] }
        var batch: [Task] = []
        while batch.count < max, let task = head(of: type) {
            lines[type, default: Line()].removeFirst()
            states[task.key] = .running(task, next: nil)
            waitingCount -= 1
            runningCount += 1
            batch.append(task)
        }
        return batch
    }

    /// Notes how a running record ended.
    ///
    /// - Returns: the deliveries for which this record has nothing left to do.
    public mutating func finish(_ key: RecordKey, _ outcome: Outcome) -> Set<Delivery> {
        guard case .running(var task, let next) = states[key] else { preconditionFailure("only a running record finishes") }
        runningCount -= 1
        switch (outcome, next) {
        case (.done, nil), (.failed, nil):
            states.removeValue(forKey: key)
            return task.deliveries
        case (.done, let next?), (.failed, let next?):
            wait(next)
            return task.deliveries.subtracting(next.deliveries)
        case (.retry(let at, let cause), nil):
            task.note(cause)
            states[key] = .retrying(task, at: at)
            retryingCount += 1
            retries.insert(key, at)
            return []
        case (.retry(_, let cause), let next?):
            task.note(cause)
            task.add(next.wish, nil)
            task.deliveries.formUnion(next.deliveries)
            wait(task)
            return []
        }
    }

    private mutating func wait(_ task: Task) {
        states[task.key] = .waiting(task)
        lines[task.key.type, default: Line()].append(task.key)
        waitingCount += 1
    }

    private mutating func head(of type: RecordType) -> Task? {
        while let key = lines[type]?.first {
            if case .waiting(let task) = states[key] { return task }
            lines[type]?.removeFirst()
        }
        return nil
    }
}

extension RecordQueue.Task {
    fileprivate mutating func note(_ cause: RecordQueue.Cause) {
        attempt += 1
        switch cause {
        case .away: break
        case .stale: staleReads += 1
        case .broken: failures += 1
        }
    }

    fileprivate mutating func add(_ wish: RecordQueue.Wish, _ delivery: RecordQueue.Delivery?) {
        if let theirs = wish.changedAt, self.wish.changedAt.map({ $0 < theirs }) ?? true { staleReads = 0 }
        self.wish.add(wish)
        if let delivery { deliveries.insert(delivery) }
    }
}

/// First in, first out, without moving the rest.
private struct Line: Sendable {
    private var keys: [RecordKey] = []
    private var start = 0

    var first: RecordKey? { start < keys.count ? keys[start] : nil }

    mutating func append(_ key: RecordKey) { keys.append(key) }

    mutating func removeFirst() {
        start += 1
        if start > 1024, start * 2 > keys.count {
            keys.removeFirst(start)
            start = 0
        }
    }
}

/// Keys by due time, soonest first.
private struct Heap: Sendable {
    private var items: [(key: RecordKey, due: Timestamp)] = []

    var first: Timestamp? { items.first?.due }

    mutating func insert(_ key: RecordKey, _ due: Timestamp) {
        items.append((key, due))
        var child = items.count - 1
        while child > 0, items[child].due < items[(child - 1) / 2].due {
            items.swapAt(child, (child - 1) / 2)
            child = (child - 1) / 2
        }
    }

    mutating func removeFirst() -> RecordKey {
        items.swapAt(0, items.count - 1)
        let key = items.removeLast().key
        var parent = 0
        while true {
            var least = parent
            for child in [2 * parent + 1, 2 * parent + 2] where child < items.count && items[child].due < items[least].due { least = child }
            if least == parent { return key }
            items.swapAt(parent, least)
            parent = least
        }
    }
}
