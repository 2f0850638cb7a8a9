/// An instant in milliseconds since 1970-01-01T00:00:00Z: what HubSpot sends and what a BSON date holds.
public struct Timestamp: Sendable, Hashable, Comparable, Codable {
    public var milliseconds: Int64

    public init(milliseconds: Int64) { self.milliseconds = milliseconds }

    public static func < (a: Self, b: Self) -> Bool { a.milliseconds < b.milliseconds }

    public static func + (a: Self, b: Duration) -> Self { Timestamp(milliseconds: a.milliseconds + b.milliseconds) }
    public static func - (a: Self, b: Duration) -> Self { Timestamp(milliseconds: a.milliseconds - b.milliseconds) }
    public static func - (a: Self, b: Self) -> Duration { .milliseconds(a.milliseconds - b.milliseconds) }

    public init(from decoder: any Decoder) throws {
        let text = try decoder.singleValueContainer().decode(String.self)
        guard let value = Timestamp(iso8601: text) else {
            throw DecodingError.dataCorrupted(.init(codingPath: decoder.codingPath, debugDescription: "not an ISO 8601 instant"))
        }
        self = value
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(iso8601)
    }
}

extension Duration {
    /// Whole milliseconds, rounded towards zero.
    public var milliseconds: Int64 {
        let (seconds, attoseconds) = components
        return seconds * 1000 + attoseconds / 1_000_000_000_000_000
    }
}

// MARK: - Text

extension Timestamp {
    /// `2026-11-20T08:00:00.000Z`, always with three digits: what JavaScript's `toISOString` prints. Years outside 0...9999 have a sign and
    /// six digits, or more where they need them.
    public var iso8601: String {
        let (sign, myriads, words) = text
        var bytes = sign.map { [$0] + (myriads < 10 ? [48] : []) + String(myriads).utf8 } ?? []
        for word in [words.0, words.1, words.2] { bytes += (0..<8).map { UInt8(truncatingIfNeeded: word >> UInt64($0 * 8)) } }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// The 24 characters of `iso8601`, eight a word, the first one lowest; nil for years outside 0...9999, whose text is longer.
    public var iso8601Words: (UInt64, UInt64, UInt64)? {
        let text = text
        return text.sign == nil ? text.words : nil
    }

    /// What stands before the four digits of years outside 0...9999, and the rest.
    private var text: (sign: UInt8?, myriads: UInt64, words: (UInt64, UInt64, UInt64)) {
        let day = milliseconds.floorDividing(86_400_000)
        let inDay = UInt64(milliseconds &- day &* 86_400_000)
        let (year, month, dayOfMonth) = Timestamp.civil(fromDays: day)
        func two(_ value: UInt64, _ place: UInt64) -> UInt64 { Timestamp.digits(value) << (place * 8) }
        func character(_ byte: UInt64, _ place: UInt64) -> UInt64 { byte << (place * 8) }
        let yearInMyriad = UInt64(year.magnitude % 10_000), seconds = inDay / 1000, fraction = inDay % 1000
        let date = two(yearInMyriad / 100, 0) | two(yearInMyriad % 100, 2) | character(0x2D, 4) | two(UInt64(month), 5) | character(0x2D, 7)
        let hours = two(UInt64(dayOfMonth), 0) | character(0x54, 2) | two(seconds / 3600, 3) | character(0x3A, 5) | two(seconds / 60 % 60, 6)
        let rest = character(0x3A, 0) | two(seconds % 60, 1) | character(0x2E, 3) | character(48 + fraction / 100, 4) | two(fraction % 100, 5) | character(0x5A, 7)
        return (year < 0 ? 0x2D : year > 9999 ? 0x2B : nil, UInt64(year.magnitude / 10_000), (date, hours, rest))
    }

    /// Two decimal digits as characters, the first one lowest.
    private static func digits(_ value: UInt64) -> UInt64 { (48 + value / 10) | (48 + value % 10) << 8 }

    /// Reads what `iso8601` writes and HubSpot sends, `2026-11-20T08:00:00.000Z`; nil for any other form.
    private init?(usual text: Span<UInt8>) {
        guard text.count == 24, text[4] == 0x2D, text[7] == 0x2D, text[10] == 0x54, text[13] == 0x3A, text[16] == 0x3A, text[19] == 0x2E,
            text[23] == 0x5A
        else { return nil }
        var isNumber = true
        func two(_ index: Int) -> Int64 {
            let high = text[index] &- 48, low = text[index + 1] &- 48
            if high > 9 || low > 9 { isNumber = false }
            return Int64(high) * 10 + Int64(low)
        }
        let year = two(0) * 100 + two(2), month = two(5), day = two(8), hour = two(11), minute = two(14), second = two(17)
        let last = text[22] &- 48
        let fraction = two(20) * 10 + Int64(last)
        guard isNumber, last <= 9, (1...12).contains(month), day >= 1, day <= Timestamp.days(inMonth: month, of: year), hour < 24, minute < 60, second <= 60
        else { return nil }
        milliseconds = Timestamp.days(year, month, day) * 86_400_000 + hour * 3_600_000 + minute * 60_000 + second * 1000 + fraction
    }

    /// Reads `YYYY-MM-DD`, `YYYY-MM-DDTHH:MM[:SS[.fraction]]` with `Z`, an offset `±HH:MM`, or nothing (read as UTC).
    /// Digits of the fraction beyond the third are dropped. Anything else is nil.
    public init?(iso8601 text: Span<UInt8>) {
        if let usual = Timestamp(usual: text) {
            self = usual
            return
        }
        var index = 0
        guard let year = Timestamp.number(4, of: text, at: &index), Timestamp.take(0x2D, of: text, at: &index), let month = Timestamp.number(2, of: text, at: &index), Timestamp.take(0x2D, of: text, at: &index), let day = Timestamp.number(2, of: text, at: &index),
            (1...12).contains(month), day >= 1, day <= Timestamp.days(inMonth: month, of: year)
        else { return nil }
        var result = Timestamp.days(year, month, day) * 86_400_000
        if index < text.count {
            guard Timestamp.take(0x54, of: text, at: &index) || Timestamp.take(0x20, of: text, at: &index), let hour = Timestamp.number(2, of: text, at: &index), Timestamp.take(0x3A, of: text, at: &index), let minute = Timestamp.number(2, of: text, at: &index), hour < 24, minute < 60
            else { return nil }
            result += hour * 3_600_000 + minute * 60_000
            if Timestamp.take(0x3A, of: text, at: &index) {
                guard let second = Timestamp.number(2, of: text, at: &index), second <= 60 else { return nil }
                result += second * 1000
                if Timestamp.take(0x2E, of: text, at: &index) {
                    var scale: Int64 = 100
                    guard let first = Timestamp.number(1, of: text, at: &index) else { return nil }
                    result += first * scale
                    while let digit = Timestamp.number(1, of: text, at: &index) {
                        scale /= 10
                        result += digit * scale
                    }
                }
            }
            if Timestamp.take(0x5A, of: text, at: &index) {
                // UTC
            } else if index < text.count, text[index] == 0x2B || text[index] == 0x2D {
                let isAhead = text[index] == 0x2B
                index += 1
                guard let hour = Timestamp.number(2, of: text, at: &index), hour < 24 else { return nil }
                _ = Timestamp.take(0x3A, of: text, at: &index)
                guard let minute = Timestamp.number(2, of: text, at: &index), minute < 60 else { return nil }
                let offset = hour * 3_600_000 + minute * 60_000
                result += isAhead ? -offset : offset
            }
        }
        guard index == text.count else { return nil }
        milliseconds = result
    }

    private static func number(_ digits: Int, of text: Span<UInt8>, at index: inout Int) -> Int64? {
        guard index + digits <= text.count else { return nil }
        var value: Int64 = 0
        for place in index..<index + digits {
            let digit = text[place] &- 48
            guard digit <= 9 else { return nil }
            value = value * 10 + Int64(digit)
        }
        index += digits
        return value
    }

    private static func take(_ byte: UInt8, of text: Span<UInt8>, at index: inout Int) -> Bool {
        guard index < text.count, text[index] == byte else { return false }
        index += 1
        return true
    }

    /// What a HubSpot `date` or `datetime` property holds: ISO 8601, or milliseconds since the epoch as decimal digits.
    ///
    /// - Source: platform page, section 5.10 (documentation and captures disagree, so both are read).
    public init?(property text: Span<UInt8>) {
        if let value = Timestamp(iso8601: text) {
            self = value
            return
        }
        let isNegative = text.count > 0 && text[0] == 0x2D
        let first = isNegative ? 1 : 0
        // 8.64e15 ms is the largest instant that JavaScript's Date can hold: 16 digits.
        guard (first + 1...first + 16).contains(text.count) else { return nil }
        var value: Int64 = 0
        for index in first..<text.count {
            let digit = text[index] &- 48
            guard digit <= 9 else { return nil }
            value = value * 10 + Int64(digit)
        }
        guard value <= 8_640_000_000_000_000 else { return nil }
        milliseconds = isNegative ? -value : value
    }

    public init?(iso8601 text: String) { self.init(iso8601: text.utf8.span) }

    public init?(property text: String) { self.init(property: text.utf8.span) }

    // The algorithms of Howard Hinnant's "chrono-Compatible Low-Level Date Algorithms", proleptic Gregorian calendar.

    private static func days(_ year: Int64, _ month: Int64, _ day: Int64) -> Int64 {
        let y = month <= 2 ? year - 1 : year
        let era = y.floorDividing(400)
        let yearOfEra = y - era * 400
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        return era * 146_097 + dayOfEra - 719_468
    }

    private static func civil(fromDays days: Int64) -> (year: Int64, month: Int64, day: Int64) {
        let shifted = days + 719_468
        let era = shifted.floorDividing(146_097)
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shiftedMonth = (5 * dayOfYear + 2) / 153
        let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, dayOfYear - (153 * shiftedMonth + 2) / 5 + 1)
    }

    private static func days(inMonth month: Int64, of year: Int64) -> Int64 {
        switch month {
        case 2: year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28
        case 4, 6, 9, 11: 30
        default: 31
        }
    }
}

extension Int64 {
    fileprivate func floorDividing(_ divisor: Int64) -> Int64 {
        self / divisor - (self % divisor < 0 ? 1 : 0)
    }
}
