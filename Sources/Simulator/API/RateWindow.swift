/// Counts what happened in the last `interval`.
struct RateWindow: Sendable {
    let limit: RateLimit
    private let length: Int64
    private var times: [Int64] = []
    private var first = 0

    init(_ limit: RateLimit) {
        self.limit = limit
        length = limit.interval.nanoseconds
    }

    /// Takes a place if one is free.
    ///
    /// - Parameter counts: a refused call takes up room as well.
    mutating func take(at time: Int64, rejectedCount counts: Bool) -> Bool {
        drop(before: time)
        let isFree = times.count - first < limit.count
        if isFree || counts { times.append(time) }
        return isFree
    }

    mutating func remaining(at time: Int64) -> Int {
        drop(before: time)
        return max(0, limit.count - (times.count - first))
    }

    /// Nanoseconds until a place is free.
    func wait(at time: Int64) -> Int64 {
        let place = times.count - limit.count
        return place >= first && place < times.count ? max(0, times[place] + length - time) : 0
    }

    /// All of it that an answer tells: `remaining` and `wait`.
    mutating func view(at time: Int64) -> (limit: RateLimit, remaining: Int, wait: Int64) { (limit, remaining(at: time), wait(at: time)) }

    private mutating func drop(before time: Int64) {
        while first < times.count, times[first] <= time - length { first += 1 }
        if first > 4096, first * 2 > times.count {
            times.removeFirst(first)
            first = 0
        }
    }
}
