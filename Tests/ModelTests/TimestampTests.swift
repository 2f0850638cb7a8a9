import Foundation
import Model
import Testing

@Suite struct TimestampTests {
    @Test(arguments: [
        ("1970-01-01T00:00:00.000Z", 0), ("2024-01-17T19:55:04.281Z", 1_705_521_304_281), ("2026-11-20T08:00:00Z", 1_795_161_600_000),
        ("2000-02-29T23:59:59.999Z", 951_868_799_999), ("1969-12-31T23:59:59.999Z", -1), ("2026-11-20", 1_795_132_800_000),
        ("2026-11-20T08:00:00.1Z", 1_795_161_600_100), ("2026-11-20T08:00:00.123456789Z", 1_795_161_600_123),
        ("2026-11-20T10:30:00+02:30", 1_795_161_600_000), ("2026-11-20T03:00:00-05:00", 1_795_161_600_000),
    ] as [(String, Int64)])
    func readsEveryFormThatHubSpotSends(text: String, milliseconds: Int64) {
        #expect(Timestamp(iso8601: text)?.milliseconds == milliseconds)
    }

    @Test(arguments: [
        "", "2026", "2026-13-01", "2026-02-29", "2026-11-20T", "2026-11-20T24:00:00Z", "2026-11-20T08:60:00Z", "2026-11-20T08:00:00.Z",
        "2026-11-20T08:00:00Zx", "20261120", "abc", "2026-11-20T08:00:00+2", "-026-11-20",
        "2026-11-20T08:00:00.00xZ", "2026-11-20T08:00:00.x00Z", "2026-1a-20T08:00:00.000Z", "2026-02-30T08:00:00.000Z", "2026-11-20T24:00:00.000Z",
        "2026-11-20T08:00:61.000Z", "2026-11-20T08:60:00.000Z", "20:6-11-20T08:00:00.000Z", "2026-00-20T08:00:00.000Z", "2026-11-00T08:00:00.000Z",
    ])
    func refusesWhatIsNoInstant(text: String) { #expect(Timestamp(iso8601: text) == nil) }

    @Test func readsPropertiesInBothForms() {
        #expect(Timestamp(property: "1752559200000")?.milliseconds == 1_752_559_200_000)
        #expect(Timestamp(property: "-1000")?.milliseconds == -1000)
        #expect(Timestamp(property: "2025-07-15")?.milliseconds == 1_752_537_600_000)
        for text in ["", "-", "99999999999999999", "12a", "1e9"] { #expect(Timestamp(property: text) == nil, "\(text)") }
    }

    /// Foundation's calendar is the reference, from 1600 to 9999: before the reform of 1582 it is not ours, which has no other.
    @Test func printsWhatFoundationPrintsAndReadsItBack() {
        let style = Date.ISO8601FormatStyle(includingFractionalSeconds: true)
        for step in 0..<4000 {
            let milliseconds = -11_676_096_000_000 + Int64(step) * 66_270_763_213
            let timestamp = Timestamp(milliseconds: milliseconds)
            // Whole milliseconds in a Double can fall just below themselves: half a millisecond keeps the reference honest.
            let date = Date(timeIntervalSince1970: (Double(milliseconds) + 0.5) / 1000)
            #expect(timestamp.iso8601 == date.formatted(style))
            #expect(Timestamp(iso8601: timestamp.iso8601) == timestamp)
        }
    }

    /// As JavaScript prints its first and last instant, and Java those of 64 bits. MongoDB holds any of them.
    @Test(arguments: [
        (8_640_000_000_000_000, "+275760-09-13T00:00:00.000Z"), (-8_640_000_000_000_000, "-271821-04-20T00:00:00.000Z"),
        (253_402_300_799_999, "9999-12-31T23:59:59.999Z"), (253_402_300_800_000, "+010000-01-01T00:00:00.000Z"),
        (-62_167_219_200_000, "0000-01-01T00:00:00.000Z"), (-62_167_219_200_001, "-000001-12-31T23:59:59.999Z"),
        (.max, "+292278994-08-17T07:12:55.807Z"), (.min, "-292275055-05-16T16:47:04.192Z"),
    ] as [(Int64, String)])
    func printsYearsOfMoreThanFourDigits(milliseconds: Int64, text: String) {
        #expect(Timestamp(milliseconds: milliseconds).iso8601 == text)
    }
}

@Suite struct HTTPDateTests {
    @Test(arguments: [
        ("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_777_000), ("Thu, 01 Jan 1970 00:00:00 GMT", 0), ("Tue, 29 Feb 2000 23:59:59 GMT", 951_868_799_000),
        ("Wed, 31 Dec 1969 23:59:59 GMT", -1000), ("Tue, 24 Nov 2026 12:00:00 GMT", 1_795_521_600_000),
    ] as [(String, Int64)]) func isReadAndWritten(text: String, milliseconds: Int64) {
        #expect(Timestamp(httpDate: text)?.milliseconds == milliseconds)
        #expect(Timestamp(milliseconds: milliseconds).httpDate == text)
    }

    @Test(arguments: ["", "Sun, 06 Nov 1994 08:49:37", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun, 31 Feb 1994 08:49:37 GMT", "Sun, 06 Foo 1994 08:49:37 GMT", "Tue, 14 Nov 1994 06:12:30.1 GMT"])
    func otherTextsAreRefused(text: String) { #expect(Timestamp(httpDate: text) == nil) }
}
