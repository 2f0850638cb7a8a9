import Bytes
import Foundation
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
        json.beginObject()
        for element in document.elements {
            json.key(element.key)
            json.value(element) { milliseconds, bytes in bytes.append(contentsOf: "@\(milliseconds)".utf8) }
        }
        json.endObject()
        #expect(
            String(decoding: json.finish(), as: UTF8.self)
                == #"{"s":"a\"b","d":1.5,"i":7,"l":9007199254740993,"b":true,"t":"@0","n":null,"o":{"x":"y"},"a":["p",2,null]}"#)
    }
}
