import Bytes
import Foundation
import TestSupport
import Testing

@Suite struct MemberScannerTests {
    /// The slow and plain way to the same result: member by member through `JSONReader`, text by text through `String`.
    private func reference(_ text: [UInt8], _ names: [[UInt8]]) throws -> (bson: [UInt8], wanted: [String?], hasNUL: Bool) {
        var json = JSONReader(text)
        var members: [(name: String, value: String?)] = []
        var hasNUL = false
        try json.enterObject()
        while let key = try json.nextKey() {
            let name = json.text(key)
            let value = try json.textOrNull().map(json.text)
            if name.utf8.contains(0) {
                hasNUL = true
            } else if let index = members.firstIndex(where: { Array($0.name.utf8) == Array(name.utf8) }) {
                members[index].value = value
            } else {
                members.append((name, value))
            }
        }
        try json.finish()
        let wanted = names.map { name in members.first { Array($0.name.utf8) == name }?.value }
        return (BSONDocument(members.map { ($0.name, $0.value.map(BSONValue.string) ?? .null) }).bytes, wanted, hasNUL)
    }

    private func scan(_ text: [UInt8], with scanner: inout MemberScanner) throws -> (TextMembers, [String?]) {
        var json = JSONReader(text)
        let members = try scanner.read(&json)
        try json.finish()
        return (members, members.wanted.map { $0.map(json.text) })
    }

    private static let pieces = [
        "\"x\\\":\\\"y\\\",\\\"z\"", "\"a\\\\nb\"", "\"a\\nb\"", "\"email\"", "\"firstname\"", "\"a\"", "\"\"", "\"a_name_longer_than_eight\"", "\"\\u0065mail\"", "\"é\"", "\"n\\u0000\"", "null", "true", "-1.5e3", "[1,\"\\n\"]",
        "{\"x\":null}", "\"Ada\"", "\"12345678\"", "\"1234567\"", "\"with \\\"quotes\\\" and more\"", "\"Zürich 東京 🚀\"", "\"\\ud83d\\ude80\"", "\"\\ud83d\"", " ", "\n", ",", ":", "}", "{",
    ]

    /// Objects made of good parts in good and bad order, and those with bytes changed: the scanner takes what the slow way takes, and
    /// makes the same document of it, in the same memory as the objects before.
    @Test(arguments: 1...60 as ClosedRange<UInt64>) func equalsTheSlowWay(seed: UInt64) throws {
        var random = SeededRandom(state: seed)
        let names = ["email", "firstname", "absent", "", "a"].map { Array($0.utf8) }
        var scanner = MemberScanner(lookingFor: names)
        var accepted = 0
        for _ in 0..<200 {
            var text = "{"
            for index in 0..<Int.random(in: 0...12, using: &random) {
                if index > 0 { text += Int.random(in: 0..<30, using: &random) == 0 ? " , " : "," }
                text += MemberScannerTests.pieces[Int.random(in: 0..<11, using: &random)] + (Int.random(in: 0..<30, using: &random) == 0 ? " :\t" : ":")
                text += MemberScannerTests.pieces[Int.random(in: 11..<23, using: &random)]
            }
            var bytes = Array((text + "}" + String(repeating: " ", count: Int.random(in: 0...20, using: &random))).utf8)
            if Bool.random(using: &random) {
                for _ in 0..<Int.random(in: 1...2, using: &random) {
                    let piece = Array(MemberScannerTests.pieces.randomElement(using: &random)!.utf8)
                    let place = Int.random(in: 0..<bytes.count, using: &random)
                    bytes.replaceSubrange(place..<min(bytes.count, place + Int.random(in: 0...2, using: &random)), with: piece.prefix(Int.random(in: 0...3, using: &random)))
                }
            }
            let expected = try? reference(bytes, names)
            let found = try? scan(bytes, with: &scanner)
            #expect((found == nil) == (expected == nil), "seed \(seed): \(String(decoding: bytes, as: UTF8.self))")
            guard let expected, let (members, wanted) = found else { continue }
            accepted += 1
            #expect(members.bson == expected.bson, "seed \(seed): \(String(decoding: bytes, as: UTF8.self))")
            #expect(wanted == expected.wanted && members.hasNUL == expected.hasNUL, "seed \(seed): \(String(decoding: bytes, as: UTF8.self))")
        }
        #expect(accepted > 80)
    }

    /// A name is compared with text only where it stands in text as it is.
    @Test(arguments: [
        (#"{"x\":\"y\",\"z":"1"}"#, #"{"x":"y","z":"2"}"#), (#"{"a\\nb":"1"}"#, #"{"a\nb":"2"}"#), (#"{"a\"b":"x"}"#, #"{"a"b":"x"}"#),
        ("{\"a\\nb\":\"x\"}", "{\"a\nb\":\"x\"}"),
    ]) func escapedNamesAreNoOthers(before: String, text: String) throws {
        let names = [Array("x".utf8), Array("z".utf8)]
        let padding = String(repeating: " ", count: 32)
        var scanner = MemberScanner(lookingFor: names)
        _ = try scan(Array((before + padding).utf8), with: &scanner)
        let expected = try? reference(Array(text.utf8), names)
        let found = try? scan(Array((text + padding).utf8), with: &scanner)
        #expect(found?.0.bson == expected?.bson && found?.1 == expected?.wanted)
    }

    /// As pages are: the same names in the same order, but for a record that has fewer, more, others, or one twice.
    @Test(arguments: 1...40 as ClosedRange<UInt64>) func objectsOfNearlyTheSameNamesEqualTheSlowWay(seed: UInt64) throws {
        var random = SeededRandom(state: seed)
        let names = (0..<Int.random(in: 1...20, using: &random)).map { "name_" + String(repeating: "x", count: $0 % 9) + "\($0)é".prefix($0 % 3 + 1) }
        let wanted = [names.randomElement(using: &random)!, names.randomElement(using: &random)!, "absent"].map { Array($0.utf8) }
        let looked = Array(Set(wanted))
        var scanner = MemberScanner(lookingFor: looked)
        for _ in 0..<60 {
            var members = names.map { ($0, MemberScannerTests.pieces[Int.random(in: 11..<23, using: &random)]) }
            switch Int.random(in: 0..<8, using: &random) {
            case 0: members.remove(at: Int.random(in: 0..<members.count, using: &random))
            case 1: members.insert(("other", "\"value\""), at: Int.random(in: 0...members.count, using: &random))
            case 2: members[Int.random(in: 0..<members.count, using: &random)].0 += "y"
            case 3: members.append((names.randomElement(using: &random)!, "\"again\""))
            case 4: members.shuffle(using: &random)
            case 5: members.removeLast(Int.random(in: 0...members.count, using: &random))
            default: break
            }
            let text = "{" + members.map { "\"\($0.0)\":\($0.1)" }.joined(separator: ",") + "}" + String(repeating: " ", count: Int.random(in: 0...20, using: &random))
            let bytes = Array(text.utf8)
            let expected = try reference(bytes, looked)
            let (found, values) = try scan(bytes, with: &scanner)
            #expect(found.bson == expected.bson && values == expected.wanted, "seed \(seed): \(text)")
        }
    }

    @Test func takesObjectsOfThousandsOfMembers() throws {
        var scanner = MemberScanner(lookingFor: [Array("p4999".utf8)])
        let text = Array("{" .utf8) + (0..<5000).flatMap { Array((($0 == 0 ? "" : ",") + "\"p\($0)\":\"v\($0)\"").utf8) } + Array("}".utf8)
        for _ in 0..<2 {
            let (members, wanted) = try scan(text, with: &scanner)
            #expect(wanted == ["v4999"])
            #expect(BSONDocument(bytes: members.bson).elements.map(\.name) == (0..<5000).map { "p\($0)" })
        }
    }

    /// No member of BSON is longer than twice its JSON: the worst is an empty name with one digit, which only the slow path takes, and
    /// the shortest strings.
    @Test func shortMembersFitTheMemory() throws {
        var scanner = MemberScanner(lookingFor: [])
        for value in ["1", "\"\"", "null"] {
            let text = Array(("{" + Array(repeating: "\"\":\(value)", count: 10_000).joined(separator: ",") + "}").utf8)
            let (members, _) = try scan(text, with: &scanner)
            #expect(BSONDocument(bytes: members.bson).elements.map(\.name) == [""])
        }
    }
}
