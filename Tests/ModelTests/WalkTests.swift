import Model
import TestSupport
import Testing

@Suite struct WalkTests {
    /// Whatever is cut, walked, joined and forgotten in a crash: no id is left out.
    @Test(arguments: Array(UInt64(1)...300)) func everyIdIsWalked(seed: UInt64) {
        var random = SeededRandom(state: seed)
        let ids = Set((0..<Int.random(in: 0...400, using: &random)).map { _ in Int64.random(in: 1...2_000, using: &random) }).sorted()
        let pageSize = Int.random(in: 1...20, using: &random)
        var walk = Walk()
        var visited: Set<Int64> = []
        // How far each range is walked. A cursor is the id of the next record.
        for _ in 0..<10_000 where !walk.isFinished {
            switch Int.random(in: 0..<20, using: &random) {
            case 0, 1:
                // As a search says: the last id of a stretch, and the first behind it.
                guard !walk.isCut, let last = walk.open.last, last.through == nil else { break }
                let rest = ids.filter { $0 > max(last.above, last.after.flatMap { Int64($0) } ?? 0) }
                guard rest.count > 2 else {
                    walk.take(.cut)
                    break
                }
                let place = Int.random(in: 1..<rest.count, using: &random)
                walk.take(.split(through: rest[place - 1], first: rest[place]))
            case 2 where Int.random(in: 0..<8, using: &random) == 0: walk.take(.join)
            default:
                let range = walk.open[Int.random(in: 0..<walk.open.count, using: &random)]
                let start = range.after.flatMap { Int64($0) } ?? range.first ?? 0
                let page = ids.filter { $0 >= start }.prefix(pageSize)
                let own = page.filter { id in range.through.map { id <= $0 } ?? true }
                visited.formUnion(own)
                // The answer was lost in a crash: the page is walked again.
                if Int.random(in: 0..<10, using: &random) == 0 { break }
                let next = ids.first { $0 > (page.last ?? .max) }
                let isLast = next == nil || range.through.map { last in page.contains { $0 >= last } } ?? false
                walk.take(.page(above: range.above, after: isLast ? nil : next.map(String.init)))
            }
        }
        #expect(walk.isFinished)
        #expect(visited == Set(ids), "seed \(seed)")
    }

    @Test func aCutThatCannotBeIsNotMade() {
        var walk = Walk()
        walk.take(.split(through: 10, first: 10))
        #expect(walk.open.count == 1)
        walk.take(.split(through: 10, first: 12))
        walk.take(.split(through: 10, first: 12))
        walk.take(.split(through: 9, first: 30))
        #expect(walk.open.map(\.above) == [0, 10])
        walk.take(.page(above: 99, after: nil))
        #expect(walk.open.count == 2)
        walk.take(.page(above: 10, after: nil))
        walk.take(.page(above: 0, after: nil))
        #expect(walk.isFinished)
        walk.take(.split(through: 10, first: 12))
        #expect(walk.isFinished)
    }
}
