import Model

/// The records that exist from the start: a pure function of seed, type and index, so that a million of them need no memory.
///
/// Their ids ascend with the index and have gaps: the first eight are small and the same in every type, one half of the others lies below
/// 10⁹, and the rest reaches up to 8·10¹¹.
struct SeededRecords: Sendable {
    let type: RecordType
    let count: Int
    let properties: [PropertyDefinition]
    private let salt: UInt64
    private let fillers: [PropertyDefinition.Filler]
    private let choices: [[[UInt8]]]
    /// Place among the properties that some records lack; -1 for those that all have.
    private let ranks: [Int]
    private let optionalCount: Int
    private let optionalSet: Int
    private let lowCount: Int
    private let lowStep: Int64
    private let highStep: Int64
    private let owners: [[UInt8]]
    private let stages: [(pipeline: [UInt8], stage: [UInt8])]

    /// Later than every seeded `updatedAt`: 2025-09-01.
    static let horizon: Int64 = 1_756_684_800_000
    /// Earlier than every seeded `createdAt`: 2012-01-01.
    private static let dawn: Int64 = 1_325_376_000_000
    /// Every seeded `createdAt` is earlier: 2025-07-01.
    private static let noon: Int64 = 1_751_328_000_000

    private static let tinyCount = 8
    private static let lowStart: Int64 = 1000
    private static let highStart: Int64 = 1_000_000_000
    /// Ids of records created later are higher than this.
    static let idsEnd: Int64 = 800_000_000_000

    init(type: RecordType, count: Int, seed: UInt64, properties: [PropertyDefinition], valuesPerRecord: Int) {
        self.type = type
        self.count = count
        self.properties = properties
        salt = SeededRandom.mixed(seed &+ UInt64(type.objectTypeId.utf8.last ?? 0) &* 0x9E37_79B9_7F4A_7C15)
        fillers = properties.map(\.filler)
        choices = properties.map(\.choices)
        var rank = 0
        ranks = properties.map { property in
            guard !property.isCore, property.filler != .never, property.filler != .longText else { return -1 }
            defer { rank += 1 }
            return rank
        }
        optionalCount = rank
        optionalSet = min(rank, max(0, valuesPerRecord - properties.count { $0.isCore }))
        let rest = max(0, count - SeededRecords.tinyCount)
        lowCount = rest / 2
        lowStep = (SeededRecords.highStart - SeededRecords.lowStart) / Int64(max(1, lowCount))
        highStep = (SeededRecords.idsEnd - SeededRecords.highStart) / Int64(max(1, rest - lowCount))
        owners = Owner.all.map { Array(String($0.id).utf8) }
        stages = Pipeline.all.flatMap { pipeline in pipeline.stages.map { (Array(pipeline.id.utf8), Array($0.id.utf8)) } }
    }

    @inline(__always)
    private func hash(_ index: Int, _ purpose: UInt64) -> UInt64 {
        SeededRandom.mixed(salt &+ UInt64(truncatingIfNeeded: index) &* 0xD1B5_4A32_D192_ED03 &+ purpose &* 0x8CB9_2BA7_2F3D_8DD7)
    }

    // MARK: Ids

    func id(_ index: Int) -> Int64 {
        let tiny = SeededRecords.tinyCount
        if index < tiny { return 101 + 50 * Int64(index) }
        let rest = index - tiny
        let jitter = hash(index, 1)
        if rest < lowCount { return SeededRecords.lowStart + Int64(rest) * lowStep + Int64(jitter % UInt64(lowStep)) }
        return SeededRecords.highStart + Int64(rest - lowCount) * highStep + Int64(jitter % UInt64(highStep))
    }

    func index(of id: Int64) -> Int? {
        let index = firstIndex(notBelow: id)
        return index < count && self.id(index) == id ? index : nil
    }

    /// The index of the first record whose id is `id` or more; `count` when there is none.
    func firstIndex(notBelow id: Int64) -> Int {
        let tiny = SeededRecords.tinyCount
        var guess: Int
        if id < SeededRecords.lowStart {
            guess = id <= 101 ? 0 : Int((id - 101 + 49) / 50)
            guess = min(guess, tiny)
        } else if id < SeededRecords.highStart {
            guess = tiny + min(lowCount, Int((id - SeededRecords.lowStart) / lowStep))
        } else {
            guess = tiny + lowCount + Int(min(Int64(count), (id - SeededRecords.highStart) / highStep))
        }
        guess = min(guess, count)
        while guess > 0, self.id(guess - 1) >= id { guess -= 1 }
        while guess < count, self.id(guess) < id { guess += 1 }
        return guess
    }

    // MARK: Times

    func createdAt(_ index: Int) -> Int64 {
        let span = SeededRecords.noon - SeededRecords.dawn - 86_400_000
        let bits = hash(index, 2)
        let time = SeededRecords.dawn + span / Int64(max(1, count)) * Int64(index) + Int64(bits % 86_400_000)
        return bits >> 60 == 0 ? time / 1000 * 1000 : time
    }

    /// Three of ten records were last changed by bulk edits, which stamp hundreds with the same millisecond.
    func updatedAt(_ index: Int) -> Int64 {
        if index % 1000 < 300 {
            return SeededRecords.noon + Int64(hash(index / 1000, 3) % UInt64(SeededRecords.horizon - SeededRecords.noon))
        }
        let created = createdAt(index)
        let bits = hash(index, 4)
        let time = created + Int64(bits % UInt64(SeededRecords.horizon - created))
        return bits >> 61 == 0 ? max(created, time / 1000 * 1000) : time
    }

    // MARK: Values

    func email(_ index: Int) -> String { "person\(index)@example\(index % 7).com" }

    /// The record whose seeded email or external id this is.
    func index(ofUnique property: PropertyDefinition.Filler, _ value: String) -> Int? {
        let digits = value.utf8.drop { $0 < 48 || $0 > 57 }.prefix { $0 >= 48 && $0 <= 57 }
        guard let index = Int(String(decoding: digits, as: UTF8.self)), index >= 0, index < count else { return nil }
        var text: [UInt8] = []
        guard let place = properties.firstIndex(where: { $0.filler == property }),
            append(place, of: index, start: start(of: index), json: false, to: &text), text.elementsEqual(value.utf8)
        else { return nil }
        return index
    }

    func value(_ property: Int, of index: Int) -> String? {
        var bytes: [UInt8] = []
        return append(property, of: index, start: start(of: index), json: false, to: &bytes)
            ? String(decoding: bytes, as: UTF8.self) : nil
    }

    /// The rank of the first optional property that a record has; the others follow, around the end.
    func start(of index: Int) -> Int { Int(hash(index, 5) % UInt64(max(1, optionalCount))) }

    /// Appends the value of one property, as a JSON string or plain.
    ///
    /// - Parameter start: `start(of: index)`, once for all properties of the record.
    /// - Returns: false, with nothing appended, when the record has no value.
    func append(_ property: Int, of index: Int, start: Int, json: Bool, to bytes: inout [UInt8]) -> Bool {
        let rank = ranks[property]
        if rank >= 0 {
            let place = rank >= start ? rank - start : rank + optionalCount - start
            guard place < optionalSet else { return false }
        }
        func text(_ text: SeededValues.Text) { bytes += json ? text.json : text.plain }
        func quote() { if json { bytes.append(UInt8(ascii: "\"")) } }
        let bits = hash(index, UInt64(truncatingIfNeeded: property) &+ 16)
        let filler = fillers[property]
        switch filler {
        case .never: return false
        case .longText:
            guard index % 4096 == 7 else { return false }
            text(SeededValues.longText)
        case .firstName: text(SeededValues.firstNames[Int(bits % UInt64(SeededValues.firstNames.count))])
        case .lastName: text(SeededValues.lastNames[Int(bits % UInt64(SeededValues.lastNames.count))])
        case .organisation: text(SeededValues.organisations[Int(bits % UInt64(SeededValues.organisations.count))])
        case .address: text(SeededValues.addresses[Int(bits % UInt64(SeededValues.addresses.count))])
        case .text: text(SeededValues.hardTexts[Int(bits % UInt64(SeededValues.hardTexts.count))])
        case .number where bits >> 62 == 0: text(SeededValues.hardNumbers[Int(bits % UInt64(SeededValues.hardNumbers.count))])
        default:
            quote()
            appendPlain(property, filler, of: index, bits: bits, to: &bytes)
            quote()
        }
        return true
    }

    /// Values without a character that JSON escapes.
    private func appendPlain(
        _ property: Int, _ filler: PropertyDefinition.Filler, of index: Int, bits: UInt64, to bytes: inout [UInt8]
    ) {
        switch filler {
        case .id: bytes.append(decimal: id(index))
        case .createdAt: Instant.append(createdAt(index), to: &bytes)
        case .updatedAt: Instant.append(updatedAt(index), to: &bytes)
        case .email:
            bytes += "person".utf8
            bytes.append(decimal: Int64(index))
            bytes += "@example".utf8
            bytes.append(decimal: Int64(index % 7))
            bytes += ".com".utf8
        case .externalId:
            bytes += "EXT-".utf8
            bytes.append(decimal: Int64(index))
        case .domain:
            bytes += "company".utf8
            bytes.append(decimal: Int64(index))
            bytes += ".example.com".utf8
        case .dealName:
            bytes += "Deal ".utf8
            bytes.append(decimal: Int64(index))
            bytes += " – größer".utf8
        case .phone:
            bytes += "+49 30 ".utf8
            bytes.append(decimal: Int64(bits % 90_000_000 + 10_000_000))
        case .integer: bytes.append(decimal: Int64(bits % 100_000))
        case .number: bytes.append(decimal: Int64(bits % 1_000_000))
        case .money:
            bytes.append(decimal: Int64(bits % 10_000_000))
            bytes.append(UInt8(ascii: "."))
            bytes.append(UInt8(48 + bits >> 40 % 10))
            bytes.append(UInt8(48 + bits >> 44 % 10))
        case .bool: bytes += (bits & 1 == 0 ? "true" : "false").utf8
        case .date: Instant.appendDate(Int64(bits % 30_000), to: &bytes)
        case .dateTime:
            let time = SeededRecords.dawn + Int64(bits % UInt64(SeededRecords.horizon - SeededRecords.dawn))
            Instant.append(bits >> 62 == 0 ? time / 1000 * 1000 : time, to: &bytes)
        case .choice:
            if !choices[property].isEmpty { bytes += choices[property][Int(bits % UInt64(choices[property].count))] }
        case .choices:
            var isFirst = true
            for (place, choice) in choices[property].enumerated() where bits >> UInt64(place + 8) & 1 == 1 {
                if !isFirst { bytes.append(UInt8(ascii: ";")) }
                bytes += choice
                isFirst = false
            }
        case .owner: bytes += owners[Int(bits % UInt64(owners.count))]
        case .stage: bytes += stages[Int(hash(index, 6) % UInt64(stages.count))].stage
        case .pipeline: bytes += stages[Int(hash(index, 6) % UInt64(stages.count))].pipeline
        case .never, .longText, .firstName, .lastName, .organisation, .address, .text: break
        }
    }
}
