import Bytes
import CMongo
import TestSupport
import Testing

@Suite struct BSONTests {
    /// libbson is the reference: it accepts what our writer writes, and reads the same from it.
    @Test func libbsonReadsWhatWeWrite() throws {
        var writer = BSONWriter()
        writer.append("s", "é\0東")
        writer.append("d", 1.5)
        writer.append("i", Int32(-7))
        writer.append("l", Int64.max)
        writer.append("b", true)
        writer.append("t", date: 1_752_559_200_000)
        writer.appendNull("n")
        writer.append("list", array: ["a", "b"])
        writer.document("o") { $0.append("x", "y") }
        writer.append("r", regex: "^a", options: "i")
        writer.append("bin", binary: [1, 2, 3])
        let bytes = writer.finish()
        #expect(
            canonicalJSON(bytes)
                == #"{ "s" : "é\u0000東", "d" : 1.5, "i" : -7, "l" : 9223372036854775807, "b" : true, "t" : { "$date" : "2025-07-15T06:00:00Z" }, "n" : null, "list" : [ "a", "b" ], "o" : { "x" : "y" }, "r" : { "$regularExpression" : { "pattern" : "^a", "options" : "i" } }, "bin" : { "$binary" : { "base64" : "AQID", "subType" : "00" } } }"#)
        let document = BSONDocument(bytes: bytes)
        #expect(document["s"] == "é\0東")
        #expect(document["l"]?.integer == Int64.max)
        #expect(document["list"] == ["a", "b"])
        #expect(document["o"]?.document?["x"] == "y")
        #expect(document["t"] == .date(1_752_559_200_000))
        #expect(document["missing"] == nil)
    }

    @Test func elementsOfAnArrayAreNamedByTheirPlace() throws {
        var writer = BSONWriter()
        writer.array("list") { list in
            for index in 0..<1_200 { list.append(at: index, prefix: "é:", String(index)) }
            list.document(at: 1_200) { $0.append("x", "y") }
        }
        let list = try #require(BSONDocument(bytes: writer.finish()).elements.first(named: "list")).document
        #expect(list.elements.map(\.name) == (0...1_200).map(String.init))
        #expect(list.elements.prefix(1_200).map(\.string) == (0..<1_200).map { "é:\($0)" })
        #expect(list.elements.first(named: "1200")?.document.elements.first(named: "x")?.string == "y")
    }

    @Test func copiesStringsOfJSONWithTheirEscapes() throws {
        var json = JSONReader(Array(#"{"plain":"abc","esc\u0061ped":"\ud83d\ude80\n","none":null}"#.utf8))
        var writer = BSONWriter()
        try json.enterObject()
        while let key = try json.nextKey() {
            if try json.peek() == .null {
                try json.null()
                writer.append(key, nil, of: json)
            } else {
                writer.append(key, try json.string(), of: json)
            }
        }
        #expect(canonicalJSON(writer.finish()) == #"{ "plain" : "abc", "escaped" : "🚀\n", "none" : null }"#)
    }

    /// Damaged bytes read as fewer elements, never out of bounds.
    @Test(arguments: 1...100 as ClosedRange<UInt64>) func survivesDamage(seed: UInt64) {
        var random = SeededRandom(state: seed)
        let document: BSONDocument = ["a": "text", "o": ["x": [1, 2.5, nil]], "r": .regex("^a", options: "i"), "b": .binary([1, 2, 3]), "t": .date(5)]
        for _ in 0..<200 {
            var bytes = document.bytes
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
            }
            if Bool.random(using: &random) { bytes.removeLast(Int.random(in: 0..<bytes.count, using: &random)) }
            var json = JSONWriter()
            json.object { $0.members(of: BSONDocument(bytes: bytes)) }
            for element in BSONDocument(bytes: bytes).elements { _ = element.value }
            #expect(!json.finish().isEmpty)
        }
    }

    private func canonicalJSON(_ bytes: [UInt8]) -> String? {
        bytes.withUnsafeBufferPointer { buffer in
            guard let bson = bson_new_from_data(buffer.baseAddress, buffer.count) else { return nil }
            defer { bson_destroy(bson) }
            guard bson_validate(bson, BSON_VALIDATE_NONE, nil), let text = bson_as_relaxed_extended_json(bson, nil) else { return nil }
            defer { bson_free(text) }
            return String(cString: text)
        }
    }
}
