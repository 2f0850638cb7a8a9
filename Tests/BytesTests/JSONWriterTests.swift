import Bytes
import Foundation
import TestSupport
import Testing

@Suite struct JSONWriterTests {
    @Test func writesWhatFoundationReads() throws {
        var json = JSONWriter()
        let text = "quote \" backslash \\ newline \n control \u{1} tab \t é 東京 🚀 \u{2028}"
        json.object { json in
            json.key("text")
            json.string(text)
            json.key("numbers")
            json.array { json in
                json.integer(-7)
                json.double(1.5)
                json.double(3)
                json.double(.nan)
                json.double(1e300)
            }
            json.key("empty")
            json.object { _ in }
            json.key("flag")
            json.bool(true)
            json.key("nothing")
            json.null()
        }
        let read = try #require(try JSONSerialization.jsonObject(with: Data(json.finish())) as? [String: Any])
        #expect(read["text"] as? String == text)
        let numbers = try #require(read["numbers"] as? [Any])
        #expect(numbers.count == 5)
        #expect(numbers[3] is NSNull)
        #expect(numbers[4] as? Double == 1e300)
        #expect((read["empty"] as? [String: Any])?.isEmpty == true)
        #expect(read["flag"] as? Bool == true)
        #expect(read["nothing"] is NSNull)
    }

    @Test func writesTheValuesOfADocument() throws {
        let document: BSONDocument = [
            "s": "a\"b", "d": 1.5, "i": 7, "l": 9_007_199_254_740_993, "b": true, "t": .date(0), "n": nil,
            "o": ["x": "y"], "a": ["p", 2, nil],
        ]
        var json = JSONWriter()
        json.object { $0.members(of: document) }
        #expect(
            String(decoding: json.finish(), as: UTF8.self)
                == #"{"s":"a\"b","d":1.5,"i":7,"l":9007199254740993,"b":true,"t":"1970-01-01T00:00:00.000Z","n":null,"o":{"x":"y"},"a":["p",2,null]}"#)
    }

    @Test func membersAreLeftOutRenamedAndChosenFrom() {
        let document: BSONDocument = ["_id": "1", "old": ["old": 1, "a": 2], "of": ["a": 1, "b": 2, "c": 3], "ofNoDocument": 7, "last": true]
        var json = JSONWriter()
        json.object { json in
            json.members(of: document) { name in
                if name.equals("_id") { return .omitted }
                if name.equals("old") { return .renamed("new") }
                return name[0] == UInt8(ascii: "o") ? .only(["b", "c", "d"]) : .asItIs
            }
        }
        #expect(String(decoding: json.finish(), as: UTF8.self) == #"{"new":{"old":1,"a":2},"of":{"b":2,"c":3},"ofNoDocument":7,"last":true}"#)
    }

    /// Strings of every length and at every distance from the document's end, held against the plainest way to write them.
    @Test(arguments: 1...50 as ClosedRange<UInt64>) func membersAreWrittenAsTheyAre(seed: UInt64) throws {
        var random = SeededRandom(state: seed)
        let letters = Array("abc\"\\\n\r\t\u{1}\u{1F}é東🚀 /") + (0..<20).map { Character(String($0 % 10)) }
        func text() -> String { String((0..<Int.random(in: 0...40, using: &random)).map { _ in letters.randomElement(using: &random)! }) }
        func quoted(_ text: String) -> String {
            "\"" + text.unicodeScalars.map { scalar in
                switch scalar {
                case "\"", "\\": "\\\(scalar)"
                case "\n": "\\n"
                case "\r": "\\r"
                case "\t": "\\t"
                case _ where scalar.value < 16: "\\u000" + String(scalar.value, radix: 16)
                case _ where scalar.value < 32: "\\u00" + String(scalar.value, radix: 16)
                default: String(scalar)
                }
            }.joined() + "\""
        }
        var members: [(String, BSONValue)] = []
        var expected: [String] = []
        for index in 0..<Int.random(in: 0...10, using: &random) {
            let name = "\(index)" + text(), inner = text(), choice = Int.random(in: 0..<10, using: &random)
            let (value, json): (BSONValue, String) = switch choice {
            case 0: (.null, "null")
            case 1: (["inner": .string(inner)], "{\"inner\":\(quoted(inner))}")
            case 2: (.int64(7), "7")
            case 3: (.array([.string(inner), .bool(false)]), "[\(quoted(inner)),false]")
            default: (.string(inner), quoted(inner))
            }
            members.append((name, value))
            expected.append("\(quoted(name)):\(json)")
        }
        var json = JSONWriter(capacity: 1)
        json.object { $0.members(of: BSONDocument(members)) }
        let bytes = json.finish()
        #expect(String(decoding: bytes, as: UTF8.self) == "{\(expected.joined(separator: ","))}")
        #expect(throws: Never.self) { try JSONSerialization.jsonObject(with: Data(bytes)) }
    }

    /// Of a document that is cut anywhere, or lies about a length, what is whole comes out, and it is JSON.
    @Test func damagedDocumentsReadAsFewerMembers() throws {
        let whole: BSONDocument = ["a": "text of some length", "b": ["c": "inner"], "d": [1, "x"], "e": .date(5), "f": "last"]
        for length in 0..<whole.bytes.count {
            for declared in [whole.bytes.count, length] {
                var bytes = Array(whole.bytes.prefix(length))
                if length >= 4 { bytes.replaceSubrange(0..<4, with: withUnsafeBytes(of: Int32(declared).littleEndian) { Array($0) }) }
                var json = JSONWriter()
                json.object { $0.members(of: BSONDocument(bytes: bytes)) }
                let read = try #require(JSONSerialization.jsonObject(with: Data(json.finish())) as? [String: Any])
                #expect(read.count < 5)
            }
        }
    }
}
