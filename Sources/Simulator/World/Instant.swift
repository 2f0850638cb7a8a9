/// HubSpot's way to print an instant: no fraction when the milliseconds are 0, three digits otherwise.
enum Instant {
    static func append(_ milliseconds: Int64, to bytes: inout [UInt8]) {
        let days = milliseconds >= 0 ? milliseconds / 86_400_000 : (milliseconds - 86_399_999) / 86_400_000
        let inDay = Int(milliseconds - days * 86_400_000)
        appendDate(days, to: &bytes)
        bytes.append(UInt8(ascii: "T"))
        two(inDay / 3_600_000, to: &bytes)
        bytes.append(UInt8(ascii: ":"))
        two(inDay / 60_000 % 60, to: &bytes)
        bytes.append(UInt8(ascii: ":"))
        two(inDay / 1000 % 60, to: &bytes)
        let fraction = inDay % 1000
        if fraction != 0 {
            bytes.append(UInt8(ascii: "."))
            bytes.append(UInt8(48 + fraction / 100))
            two(fraction % 100, to: &bytes)
        }
        bytes.append(UInt8(ascii: "Z"))
    }

    /// `YYYY-MM-DD` of a day counted from 1970-01-01, years 0...9999.
    static func appendDate(_ days: Int64, to bytes: inout [UInt8]) {
        // Howard Hinnant's civil_from_days.
        let shifted = days + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shiftedMonth = (5 * dayOfYear + 2) / 153
        let month = Int(shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9)
        let year = Int(yearOfEra + era * 400) + (month <= 2 ? 1 : 0)
        two(year / 100, to: &bytes)
        two(year % 100, to: &bytes)
        bytes.append(UInt8(ascii: "-"))
        two(month, to: &bytes)
        bytes.append(UInt8(ascii: "-"))
        two(Int(dayOfYear - (153 * shiftedMonth + 2) / 5 + 1), to: &bytes)
    }

    static func text(_ milliseconds: Int64) -> String {
        var bytes: [UInt8] = []
        append(milliseconds, to: &bytes)
        return String(decoding: bytes, as: UTF8.self)
    }

    @inline(__always)
    private static func two(_ value: Int, to bytes: inout [UInt8]) {
        bytes.append(UInt8(truncatingIfNeeded: 48 + value / 10 % 10))
        bytes.append(UInt8(truncatingIfNeeded: 48 + value % 10))
    }
}

extension [UInt8] {
    /// Appends decimal digits without making a string.
    @inline(__always)
    mutating func append(decimal value: Int64) {
        if value < 0 {
            append(UInt8(ascii: "-"))
        }
        var magnitude = value.magnitude
        let start = count
        repeat {
            append(UInt8(truncatingIfNeeded: 48 + magnitude % 10))
            magnitude /= 10
        } while magnitude > 0
        self[start...].reverse()
    }
}
