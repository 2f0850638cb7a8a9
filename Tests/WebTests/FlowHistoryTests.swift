import Model
import TestSupport
import Testing

@testable import Web

@Suite struct FlowHistoryTests {
    private func at(_ seconds: Int64) -> Timestamp { Timestamp(milliseconds: 1_800_000_000_000 + seconds * 1000) }

    @Test func aStepHoldsTheMostThatWaitedAndAllThatCame() {
        var history = FlowHistory()
        history.note(backlog: 5, events: 10, rejected: 1, at: at(0))
        history.note(backlog: 9, events: 14, rejected: 1, at: at(10))
        history.note(backlog: 2, events: 15, rejected: 3, at: at(29))
        history.note(backlog: 1, events: 15, rejected: 3, at: at(30))
        #expect(history.values(\.backlog, at: at(30)).suffix(3) == [0, 9, 1])
        #expect(history.values(\.events, at: at(30)).suffix(3) == [0, 15, 0])
        #expect(history.rejected == 3)
    }

    @Test func itForgetsWhatIsOlderThanAnHourAndSurvivesAClockThatGoesBack() {
        var history = FlowHistory()
        for second in stride(from: Int64(0), to: 7200, by: 7) { history.note(backlog: 1, events: Int(second), rejected: 0, at: at(second)) }
        #expect(history.steps.count == FlowHistory.stepsMax)
        #expect(history.values(\.backlog, at: at(7199)) == Array(repeating: 1, count: 120))
        history.note(backlog: 7, events: 9000, rejected: 0, at: at(100))
        #expect(history.steps.last?.backlog == 7 && history.steps.count == FlowHistory.stepsMax)
        #expect(history.values(\.backlog, at: at(100)).count == FlowHistory.stepsMax)
        #expect(history.values(\.backlog, at: at(20_000)) == Array(repeating: 0, count: 120))
    }

    @Test func whatWasBeforeTheStartIsNotKnownForAnHour() {
        var history = FlowHistory()
        #expect(history.unknown(at: at(0)) == FlowHistory.stepsMax)
        for (second, unknown) in [(0, 119), (29, 119), (30, 118), (1800, 59), (3569, 1), (3570, 0), (9000, 0)] {
            history.note(backlog: 0, events: 0, rejected: 0, at: at(Int64(second)))
            #expect(history.unknown(at: at(Int64(second))) == unknown, "\(second) s")
        }
        #expect(history.unknown(at: at(-100)) == 119, "the clock was set back")
        #expect(BarChart(Array(repeating: 0, count: 120), unknown: 30).unknown == "M0 0h60.0v40.0H0z")
        #expect(BarChart([1]).unknown == "")
    }

    @Test func barsFillTheirBoxAndWhatIsNotNothingIsSeen() {
        #expect(BarChart([0, 0]).path == "" && BarChart([]).max == 0)
        let chart = BarChart([0, 100_000, 1])
        #expect(chart.max == 100_000)
        #expect(chart.path == "M80.0 40.0v-39.0h64.0v39.0zM160.0 40.0v-1.0h64.0v1.0z")
    }

    @Test(arguments: [
        (0, "0 ms"), (999, "999 ms"), (1500, "1.5 s"), (59_000, "59 s"), (200_000, "3 min 20 s"), (3_600_000, "1 h"), (15_000_000, "4 h 10 min"),
        (266_400_000, "3 d 2 h"), (-5, "0 ms"),
    ]) func durationsReadWell(ms: Int, words: String) { #expect(Duration.milliseconds(ms).words == words) }

    @Test(arguments: [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567"), (-12_345, "-12,345")])
    func numbersAreGrouped(number: Int, text: String) { #expect(number.grouped == text) }
}
