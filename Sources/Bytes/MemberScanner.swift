#if canImport(Glibc)
    internal import Glibc
#else
    internal import Darwin
#endif

/// What an object of names to text holds, as BSON.
public struct TextMembers: Sendable {
    /// A BSON document of names to string or null. A name that comes twice counts once, in its first place with its last value.
    public let bson: [UInt8]
    /// The values of the names that were looked for; nil for absent and null alike.
    public let wanted: [JSONReader.Slice?]
    /// Whether a name held a NUL character, which BSON cannot have; that member is missing.
    public let hasNUL: Bool
}

/// Reads objects whose values are text or null straight into BSON, one after the other in the same memory.
///
/// HubSpot's `properties` are most of what it sends. A member without white space is read, checked and copied in one pass over its
/// blocks; any other is left to `JSONReader`. The records of a page have the same names in the same order, so a name is first
/// compared with the one in its place in the object before.
public struct MemberScanner: ~Copyable {
    private let names: [[UInt8]]
    private var writer: BSONWriter
    /// Those of the object before, whose memory the next one's take.
    private var values: [JSONReader.Slice?]
    /// Every name that came, by its hash: open addressing, a power of two of slots.
    private var slots: [Slot]
    private var slotsTaken = 0
    /// Counts objects, so that the slots need no clearing.
    private var object: UInt32 = 0
    /// The names of the object before, each once, in their order, and as many of this object's as `expected` says.
    private var usual = NameSequence()
    /// How many members of this object have come; the next one's place in `usual`.
    private var expected = 0
    /// Whether this object has other names than the one before: from there on they are in `slots` and `usual`.
    private var isUnusual = false

    private struct Slot {
        /// 0: free.
        var hash: UInt64 = 0
        /// The object in which the name came last.
        var object: UInt32 = 0
        /// Where in `names` the name may be; -1 for others.
        var wanted: Int32 = -1
    }

    /// - Parameter names: what is looked for, each once.
    public init(lookingFor names: [[UInt8]]) {
        self.names = names
        writer = BSONWriter(capacity: 4096)
        values = Array(repeating: nil, count: names.count)
        slots = Array(repeating: Slot(), count: 256)
        for (index, name) in names.enumerated() {
            let hash = name.withUnsafeBytes { MemberScanner.hash($0) }
            _ = note(hash, wanted: Int32(index))
        }
    }

    /// Reads the object that is next in `json`. Values that are neither strings nor null are taken as their JSON text.
    ///
    /// - Throws: when the text is damaged or no object comes.
    public mutating func read(_ json: inout JSONReader) throws(JSONError) -> TextMembers {
        object += 1
        expected = 0
        isUnusual = false
        writer.restart()
        let start = json
        var values: [JSONReader.Slice?] = []
        swap(&values, &self.values)
        for index in values.indices { values[index] = nil }
        defer { self.values = values }
        var hasNUL = false
        var mayRepeat = false
        try json.enterObject()
        while true {
            mayRepeat = try plainMembers(&json, &values) || mayRepeat
            guard let name = try json.nextKey() else { break }
            let value = try json.textOrNull()
            let characters = json.unescaped(name)
            if characters.contains(0) {
                hasNUL = true
                continue
            }
            let (isNew, wanted) = characters.withUnsafeBytes { meet($0) }
            mayRepeat = mayRepeat || !isNew
            if wanted >= 0 { values[wanted] = value }
            writer.append(name, value, of: json)
        }
        let bson = writer.finished()
        return TextMembers(bson: mayRepeat ? try MemberScanner.withoutRepetition(start) : bson, wanted: values, hasNUL: hasNUL)
    }

    /// Writes another document in the same memory.
    public mutating func document(_ body: (inout BSONWriter) -> Void) -> [UInt8] {
        writer.restart()
        body(&writer)
        return writer.finished()
    }

    // MARK: The usual way

    /// Takes members as long as they are plain, and leaves the reader before the first that is not.
    ///
    /// - Returns: whether a name may have come before.
    private mutating func plainMembers(_ json: inout JSONReader, _ values: inout [JSONReader.Slice?]) throws(JSONError) -> Bool {
        // No member becomes longer than twice its text: an empty name with a digit has five bytes of JSON and eight of BSON.
        let bytes = json.bytes
        writer.bytes.reserve((bytes.count - json.position) * 2 + 64)
        var notASCII: [Range<Int>] = []
        var mayRepeat = false
        let (position, needsComma, written) = bytes.withUnsafeBytes { bytes in
            var text = Text(start: bytes.baseAddress!, index: json.position, last: bytes.count - TextBlock.size, out: writer.bytes.end)
            let begin = text.out
            var needsComma = json.needsComma
            // Of `usual` and `expected`, as long as they are not asked for themselves.
            var known = isUnusual ? [] : usual.names
            let knownText = usual.text
            var place = expected
            while text.index <= text.last {
                let member = text
                if needsComma {
                    guard text.take(UInt8(ascii: ",")) else { break }
                }
                text.out += 1  // the type, once it is known
                guard text.take(UInt8(ascii: "\"")) else {
                    text = member
                    break
                }
                let nameStart = text.index
                let isUsual = place < known.count && text.copy(known[place], of: knownText)
                var nameEnd = nameStart
                if !isUsual {
                    guard text.copyString(), !text.isEscaped, text.index <= text.last, text.start[text.index + 1] == UInt8(ascii: ":") else {
                        text = member
                        break
                    }
                    nameEnd = text.index
                    text.put(0)
                    text.index += 2
                }
                var value: JSONReader.Slice?
                if text.take(UInt8(ascii: "\"")) {
                    let length = text.out
                    let valueStart = text.index
                    text.out += 4
                    guard text.copyString() else {
                        text = member
                        break
                    }
                    value = JSONReader.Slice(range: valueStart..<text.index, isEscaped: text.isEscaped)
                    text.put(0)
                    text.index += 1
                    UnsafeMutableRawPointer(length).storeBytes(of: Int32(truncatingIfNeeded: text.out - length - 4).littleEndian, as: Int32.self)
                    member.out.pointee = BSONType.string.rawValue
                } else if text.isNull {
                    text.index += 4
                    member.out.pointee = BSONType.null.rawValue
                } else {
                    text = member
                    break
                }
                if !text.isASCII {
                    notASCII.append(nameStart..<text.index)
                    text.isASCII = true
                }
                needsComma = true
                if isUsual {
                    let wanted = known[place].wanted
                    if wanted >= 0 { values[wanted] = value }
                    place += 1
                } else {
                    expected = place
                    let (isNew, wanted) = meet(UnsafeRawBufferPointer(start: text.start + nameStart, count: nameEnd - nameStart))
                    if !isNew { mayRepeat = true }
                    if wanted >= 0 { values[wanted] = value }
                    place = expected
                    if isUnusual { known = [] }
                }
            }
            expected = place
            return (text.index, needsComma, text.out - begin)
        }
        for range in notASCII { try json.checkEncoding(range) }
        json.position = position
        json.needsComma = needsComma
        writer.bytes.advance(by: written)
        return mayRepeat
    }

    /// Where the text is read and the document written. Copies whole blocks, of which only what belongs to the string counts.
    private struct Text {
        let start: UnsafePointer<UInt8>
        var index: Int
        /// Up to here a block may be read.
        let last: Int
        var out: UnsafeMutablePointer<UInt8>
        var isASCII = true
        /// Whether the last string held escapes.
        var isEscaped = false

        init(start: UnsafeRawPointer, index: Int, last: Int, out: UnsafeMutableRawPointer) {
            self.start = start.assumingMemoryBound(to: UInt8.self)
            self.index = index
            self.last = last
            self.out = out.assumingMemoryBound(to: UInt8.self)
        }

        @inline(__always) mutating func take(_ byte: UInt8) -> Bool {
            guard start[index] == byte else { return false }
            index += 1
            return true
        }

        @inline(__always) mutating func put(_ byte: UInt8) {
            out.pointee = byte
            out += 1
        }

        @inline(__always) var isNull: Bool {
            UnsafeRawPointer(start + index).loadUnaligned(as: UInt32.self).littleEndian == 0x6C6C_756E
        }

        /// Copies that name, if it comes, and stops behind its colon.
        @inline(__always) mutating func copy(_ name: NameSequence.Name, of names: UnsafeRawPointer) -> Bool {
            guard index + name.count <= last else { return false }
            var offset = 0
            while true {
                let here = UnsafeRawPointer(start + (index + offset))
                let length = TextBlock.commonLength(here, names + name.start + offset)
                TextBlock.copy(here, to: out + offset)
                offset += length
                if length < TextBlock.size || offset >= name.count { break }
            }
            guard offset >= name.count else { return false }
            index += name.count
            out += name.count - 2
            put(0)
            return true
        }

        /// Copies up to the closing quote, escapes resolved, and stops there; false when something else comes first.
        @inline(__always) mutating func copyString() -> Bool {
            isEscaped = false
            while index <= last {
                let block = TextBlock(start + index)
                TextBlock.copy(start + index, to: out)
                if !block.isASCII { isASCII = false }
                index += block.plainLength
                out += block.plainLength
                if block.plainLength == TextBlock.size { continue }
                if start[index] == UInt8(ascii: "\"") { return true }
                guard start[index] == UInt8(ascii: "\\"),
                    let escape = JSONReader.Escape(in: UnsafeRawBufferPointer(start: start, count: last + TextBlock.size), at: index)
                else { return false }
                index += escape.length
                out += escape.write(to: out)
                isEscaped = true
            }
            return false
        }
    }

    // MARK: Names

    /// Another one in each process, so that nobody can choose names that meet in one slot.
    private static let seed = UInt64.random(in: .min ... .max)

    /// Never 0.
    private static func hash(_ name: UnsafeRawBufferPointer) -> UInt64 {
        var fingerprint = Fingerprint(seed: seed)
        fingerprint.add(name)
        return UInt64(bitPattern: fingerprint.value) | 1
    }

    /// Takes a name that came in this object.
    ///
    /// - Returns: whether it is the first of its hash, and where in `names` it is; -1 for others.
    private mutating func meet(_ name: UnsafeRawBufferPointer) -> (isNew: Bool, wanted: Int) {
        if !isUnusual {
            if expected < usual.count, usual.holds(name, at: expected) {
                defer { expected += 1 }
                return (true, usual[expected].wanted)
            }
            isUnusual = true
            usual.truncate(to: expected)
            for place in 0..<expected { _ = note(usual[place].hash) }
        }
        let hash = MemberScanner.hash(name)
        var (isNew, wanted) = note(hash)
        if wanted >= 0, !names[wanted].elementsEqual(name) { wanted = -1 }
        // One that JSON escapes is no name to compare text with.
        if isNew, !name.contains(where: { $0 < 0x20 || $0 == UInt8(ascii: "\"") || $0 == UInt8(ascii: "\\") }) {
            usual.append(name, hash: hash, wanted: wanted)
            expected += 1
        }
        return (isNew, wanted)
    }

    /// Notes that a name came in this object.
    ///
    /// - Returns: whether it is the first of this hash, and where in `names` it may be.
    @inline(__always) private mutating func note(_ hash: UInt64, wanted: Int32 = -1) -> (isNew: Bool, wanted: Int) {
        let place = place(of: hash)
        if slots[place].hash == hash {
            defer { slots[place].object = object }
            return (slots[place].object != object, Int(slots[place].wanted))
        }
        slots[place] = Slot(hash: hash, object: object, wanted: wanted)
        slotsTaken += 1
        if slotsTaken * 4 > slots.count { growSlots() }
        return (true, Int(wanted))
    }

    private mutating func growSlots() {
        let old = slots
        slots = Array(repeating: Slot(), count: old.count * 4)
        for slot in old where slot.hash != 0 { slots[place(of: slot.hash)] = slot }
    }

    /// The slot of that hash, or the free one that it would take.
    @inline(__always) private func place(of hash: UInt64) -> Int {
        let mask = slots.count - 1
        var place = Int(truncatingIfNeeded: hash >> 1) & mask
        while slots[place].hash != 0, slots[place].hash != hash { place = (place + 1) & mask }
        return place
    }

    // MARK: The rare way

    /// A name came twice, or two names have one hash.
    private static func withoutRepetition(_ start: JSONReader) throws(JSONError) -> [UInt8] {
        var json = start
        var members: [(name: JSONReader.Slice, value: JSONReader.Slice?)] = []
        var places: [[UInt8]: Int] = [:]
        try json.enterObject()
        while let name = try json.nextKey() {
            let value = try json.textOrNull()
            let text = json.unescaped(name)
            guard !text.contains(0) else { continue }
            if let place = places[text] {
                members[place].value = value
            } else {
                places[text] = members.count
                members.append((name, value))
            }
        }
        var writer = BSONWriter(capacity: 4096)
        for member in members { writer.append(member.name, member.value, of: json) }
        return writer.finish()
    }
}

/// Different names in the order in which they came, each with the quote and the colon that follow it in JSON.
private struct NameSequence: ~Copyable {
    struct Name {
        let hash: UInt64
        /// Its place among those that are looked for; -1 for others.
        let wanted: Int
        /// Where it begins in `text`.
        let start: Int
        /// Its bytes, with quote and colon.
        let count: Int
    }

    private(set) var names: [Name] = []
    private var bytes = OutputBuffer(capacity: 2048)

    var count: Int { names.count }

    subscript(place: Int) -> Name { @inline(__always) get { names[place] } }

    /// A block may be read at the last name's last byte.
    var text: UnsafeRawPointer { bytes.start }

    func holds(_ name: UnsafeRawBufferPointer, at place: Int) -> Bool {
        let known = names[place]
        return UnsafeRawBufferPointer(start: text + known.start, count: known.count - 2).elementsEqual(name)
    }

    mutating func append(_ name: UnsafeRawBufferPointer, hash: UInt64, wanted: Int) {
        names.append(Name(hash: hash, wanted: wanted, start: bytes.count, count: name.count + 2))
        bytes.append(name)
        bytes.append("\":")
        bytes.reserve(TextBlock.size)
    }

    mutating func truncate(to count: Int) {
        guard count < names.count else { return }
        bytes.truncate(to: names[count].start)
        names.removeSubrange(count...)
    }
}
