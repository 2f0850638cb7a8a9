import Bytes
import Foundation
import TestSupport
import Testing

@Suite struct JSONReaderTests {
    @Test func walksObjectsAndArrays() throws {
        var json = JSONReader(Array(#" { "a" : [1, -2.5e3, true, false, null, "x\né"], "b": {} , "c": [] } "#.utf8))
        try json.enterObject()
        let a = try #require(try json.nextKey())
        #expect(json.matches(a, "a"))
        try json.enterArray()
        var seen: [String] = []
        while try json.nextElement() {
            switch try json.peek() {
            case .number: seen.append(String(decoding: json.bytes[try json.number()], as: UTF8.self))
            case .bool: seen.append("\(try json.bool())")
            case .null:
                try json.null()
                seen.append("null")
            case .string: seen.append(json.text(try json.string()))
            default: try json.skip()
            }
        }
        #expect(seen == ["1", "-2.5e3", "true", "false", "null", "x\né"])
        while let key = try json.nextKey() {
            seen.append(json.text(key))
            try json.skip()
        }
        try json.finish()
        #expect(seen.suffix(2) == ["b", "c"])
    }

    @Test(arguments: [
        "", "{", "[", "[1", "[1,", "[1,]", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{,}", "[,]", "\"", "\"\\", "\"\\u12\"", "\"\\x\"", "tru", "nul",
        "01", "1.", "-", "1e", ".5", "+1", "[1 2]", "{\"a\" 1}", "\"\u{1}\"", "{1:2}", "[}", "{]", "'a'", "NaN", "[1]]", "{} {}",
    ])
    func refusesWhatIsNotJSON(text: String) {
        #expect(throws: JSONError.self) {
            var json = JSONReader(Array(text.utf8))
            try json.skip()
            try json.finish()
        }
    }

    @Test func refusesWhatIsNotUTF8() {
        let long = Array(repeating: UInt8(ascii: "x"), count: 9)
        for bytes: [UInt8] in [[0xFF], [0xC0, 0x80], [0xED, 0xA0, 0x80], [0xE2, 0x82], long + [0xFF], [0xFF] + long, [0x5C, 0xFF], [0x5C, 0x6E, 0xFF]] {
            let text = [0x22] + bytes + [0x22]
            #expect(throws: JSONError.self) {
                var json = JSONReader(text)
                try json.skip()
            }
            #expect(throws: JSONError.self) {
                var json = JSONReader([0x7B] + text + Array(#":"","long enough for whole words":"ok"}"#.utf8))
                var scanner = MemberScanner(lookingFor: [])
                _ = try scanner.read(&json)
            }
        }
        var json = JSONReader([0xEF, 0xBB, 0xBF, 0x31])
        #expect(throws: JSONError(.syntax, at: 0)) { try json.skip() }
    }

    @Test func refusesEndlessNesting() throws {
        var json = JSONReader(Array(String(repeating: "[", count: 100_000).utf8))
        #expect(throws: JSONError.self) { try json.skip() }
    }

    @Test(arguments: [
        (#""plain""#, "plain"), (#""\"\\\/\b\f\n\r\t""#, "\"\\/\u{8}\u{C}\n\r\t"), (#""\u00e9\u6771\ud83d\ude80""#, "é東🚀"),
        (#""\ud83d""#, "\u{FFFD}"), (#""\ude80x""#, "\u{FFFD}x"), (#""\ud83d\u0041""#, "\u{FFFD}A"), (#""""#, ""),
        (#""0123456\n""#, "0123456\n"), (#""01234567\\""#, "01234567\\"), (#""\u0000""#, "\0"),
    ])
    func resolvesEscapes(text: String, expected: String) throws {
        var json = JSONReader(Array(text.utf8))
        let slice = try json.string()
        #expect(json.text(slice) == expected)
        try json.finish()
    }

    @Test func readsIntegersWrittenEitherWay() throws {
        var json = JSONReader(Array(#"[267448862446, "267448862446", 1.5, "x", null, 9223372036854775807, 9223372036854775808, -7]"#.utf8))
        var values: [Int64?] = []
        try json.enterArray()
        while try json.nextElement() { values.append(try json.integerOrSkip()) }
        #expect(values == [267_448_862_446, 267_448_862_446, nil, nil, nil, .max, nil, -7])
    }

    /// Mutated texts are accepted exactly when Foundation's parser accepts them, and never trap.
    @Test(arguments: 1...200 as ClosedRange<UInt64>) func agreesWithFoundationOnMutatedText(seed: UInt64) {
        var random = SeededRandom(state: seed)
        let original = Array(#"{"results":[{"id":"1","properties":{"a":"x\"\u00e9","b":null,"c":"東"},"n":[-1.5e+3,0,true]}],"p":{"n":{}}}"#.utf8)
        let alphabet = Array(#"{}[]",:\u0019aeEn.+- tfl"#.utf8) + [0x00, 0x1F, 0x7F, 0x80, 0xC3, 0xE6, 0xFF]
        for _ in 0..<50 {
            var bytes = original
            for _ in 0..<Int.random(in: 1...3, using: &random) {
                let index = Int.random(in: 0..<bytes.count, using: &random)
                switch Int.random(in: 0..<3, using: &random) {
                case 0: bytes[index] = alphabet.randomElement(using: &random)!
                case 1: bytes.remove(at: index)
                default: bytes.insert(alphabet.randomElement(using: &random)!, at: index)
                }
            }
            let ours: Bool
            do {
                var json = JSONReader(bytes)
                try json.skip()
                try json.finish()
                ours = true
            } catch { ours = false }
            let theirs = (try? JSONSerialization.jsonObject(with: Data(bytes), options: .fragmentsAllowed)) != nil
            // Foundation refuses lone surrogates and duplicate-looking byte order marks; both are fine either way.
            if ours != theirs, !bytes.starts(with: [0xEF]), !String(decoding: bytes, as: UTF8.self).contains("\\u") {
                Issue.record("seed \(seed): ours \(ours), Foundation \(theirs): \(String(decoding: bytes, as: UTF8.self))")
            }
        }
    }
}
