import Model
import TestSupport
import Testing

@Suite struct WalkTests {
    /// Whatever is cut, walked, joined and forgotten in a crash: no id is left out. Walk and what is kept of it hear of the same steps at
    /// different times, and neither ever has less to walk than what is left.
    @Test(arguments: Array(UInt64(1)...300)) func everyIdIsWalked(seed: UInt64) {
        var random = SeededRandom(state: seed)
        let ids = Set((0..<Int.random(in: 0...400, using: &random)).map { _ in Int64.random(in: 1...2_000, using: &random) }).sorted()
        let pageSize = Int.random(in: 1...20, using: &random)
        var walk = Walk()
        var kept = Walk()
        var left = ids
        // Pages that are being written, by the `above` of their range.
        var inHand: [Int64: (own: [Int64], step: Walk.Step, isKept: Bool)] = [:]
        // A cut that is not kept yet. Nobody walks behind it.
        var cut: (through: Int64, first: Int64)?
        var isJoining = false
        var isWhole = true
        // How far each range is walked. A cursor is the id of the next record.
        func start(_ range: Walk.Range) -> Int64 { range.after.flatMap { Int64($0) } ?? range.first ?? 0 }
        func covers(_ walk: Walk) -> Bool {
            left.allSatisfy { id in
                walk.open.contains { range in
                    let last = range.through ?? Int64.max
                    return range.above < id && start(range) <= id && id <= last
                }
            }
        }
        for _ in 0..<30_000 where !walk.isFinished {
            switch Int.random(in: 0..<20, using: &random) {
            case 0, 1:
                if let made = cut {
                    kept.take(.split(through: made.through, first: made.first))
                    cut = nil
                    break
                }
                // As a search says: the last id of a stretch, and the first behind it.
                guard !walk.isCut, let last = walk.open.last, last.through == nil else { break }
                let behind = max(last.above, start(last), inHand[last.above]?.own.last ?? 0)
                let rest = ids.filter { $0 > behind }
                guard rest.count > 2 else {
                    kept.take(.cut)
                    walk.take(.cut)
                    break
                }
                let place = Int.random(in: 1..<rest.count, using: &random)
                walk.take(.split(through: rest[place - 1], first: rest[place]))
                cut = (through: rest[place - 1], first: rest[place])
            case 2 where isJoining:
                walk.take(.join)
                isJoining = false
            case 2 where Int.random(in: 0..<8, using: &random) == 0:
                kept.take(.join)
                isJoining = true
            case 3 where Int.random(in: 0..<8, using: &random) == 0:
                // A crash.
                isWhole = isWhole && covers(kept)
                walk = kept
                inHand = [:]
                cut = nil
                isJoining = false
            case 4..<10:
                guard let above = inHand.keys.sorted().randomElement(using: &random), let page = inHand[above] else { break }
                if page.isKept {
                    walk.take(page.step)
                    inHand[above] = nil
                } else {
                    left.removeAll { page.own.contains($0) }
                    kept.take(page.step)
                    inHand[above] = (own: page.own, step: page.step, isKept: true)
                }
            default:
                let range = walk.open[Int.random(in: 0..<walk.open.count, using: &random)]
                guard inHand[range.above] == nil, cut?.through != range.above else { break }
                let from = start(range)
                let last = range.through ?? Int64.max
                let page = Array(ids.filter { $0 >= from }.prefix(pageSize))
                let next = page.last.flatMap { end in ids.first { $0 > end } }
                let isLast = next == nil || page.contains { $0 >= last }
                let step = Walk.Step.page(above: range.above, through: range.through, after: isLast ? nil : next.map { String($0) })
                inHand[range.above] = (own: page.filter { $0 <= last }, step: step, isKept: false)
            }
            if Int.random(in: 0..<4, using: &random) == 0 { isWhole = isWhole && covers(kept) && covers(walk) }
        }
        #expect(isWhole, "seed \(seed)")
        #expect(walk.isFinished)
        #expect(left == [], "seed \(seed)")
    }

    /// What the page held of the second range was not written.
    @Test func aRangeThatIsJoinedDuringItsLastPageGoesOnWithThatPage() {
        var walk = Walk(open: [Walk.Range(through: 20, after: "11"), Walk.Range(above: 20, first: 21)], isCut: true)
        walk.take(.join)
        walk.take(.page(above: 0, through: 20, after: nil))
        #expect(walk.open == [Walk.Range(after: "11")])
        walk.take(.page(above: 0, through: nil, after: "31"))
        #expect(walk.open == [Walk.Range(after: "31")])
        walk.take(.page(above: 0, through: nil, after: nil))
        #expect(walk.isFinished)
    }

    @Test func aCutThatCannotBeIsNotMade() {
        var walk = Walk()
        walk.take(.split(through: 10, first: 10))
        #expect(walk.open.count == 1)
        walk.take(.split(through: 10, first: 12))
        walk.take(.split(through: 10, first: 12))
        walk.take(.split(through: 9, first: 30))
        #expect(walk.open.map(\.above) == [0, 10])
        walk.take(.page(above: 99, through: nil, after: nil))
        #expect(walk.open.count == 2)
        walk.take(.page(above: 10, through: nil, after: nil))
        walk.take(.page(above: 0, through: 10, after: nil))
        #expect(walk.isFinished)
        walk.take(.split(through: 10, first: 12))
        #expect(walk.isFinished)
    }
}
