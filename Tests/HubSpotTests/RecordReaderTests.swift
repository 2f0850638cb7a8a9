import Bytes
import Foundation
@testable import HubSpot
import Model
import Testing

@Suite struct RecordReaderTests {
    private func read(_ json: [UInt8], as type: RecordType = .contacts) throws -> Result<Record, RecordFailure> {
        var reader = JSONReader(json)
        let records = RecordReader(type)
        var scanner = records.scanner()
        let result = try records.read(&reader, with: &scanner)
        try reader.finish()
        return result
    }

    private func record(properties: String, id: String = "\"151\"", type: RecordType = .contacts, more: String = "") throws -> Record {
        let json = #"{"id":\#(id),"properties":\#(properties),"createdAt":"2024-01-17T19:55:04.281Z","updatedAt":"2026-11-20T08:00:00Z""# + more + "}"
        return try read(Array(json.utf8), as: type).get()
    }

    private func strings(_ bson: [UInt8]) -> [String: String?] {
        Dictionary(BSONDocument(bytes: bson).elements.map { ($0.name, $0.string) }, uniquingKeysWith: { first, _ in first })
    }

    @Test func aRecordIsReadWhole() throws {
        let record = try record(
            properties: #"{"email":"ada@example.com","firstname":"Ada","lastname":null,"hs_object_id":"151","custom":"x"}"#,
            more: #","archived":true,"archivedAt":"2026-11-21T00:00:00Z","url":"https://app.hubspot.com/contacts/1/record/0-1/151","objectWriteTraceId":7"#)
        #expect(record.id == "151" && record.type == .contacts && record.archived)
        #expect(record.createdAt.iso8601 == "2024-01-17T19:55:04.281Z" && record.updatedAt.iso8601 == "2026-11-20T08:00:00.000Z")
        #expect(record.archivedAt?.iso8601 == "2026-11-21T00:00:00.000Z")
        #expect(BSONDocument(bytes: record.properties) == ["email": "ada@example.com", "firstname": "Ada", "lastname": nil, "hs_object_id": "151", "custom": "x"])
        #expect(
            BSONDocument(bytes: record.fields) == [
                "email": "ada@example.com", "firstName": "Ada", "lastName": nil, "phone": nil, "company": nil, "jobTitle": nil,
                "lifecycleStage": nil, "leadStatus": nil, "ownerId": nil,
            ])
        #expect(record.mergedIds.isEmpty)
    }

    @Test(arguments: [
        ("12.5", 12.5), ("0", 0), ("-3", -3), ("1e3", 1000), ("1234567890123456789", 1.2345678901234568e18), ("", nil), (" 1", nil),
        ("nan", nil), ("inf", nil), ("0x10", nil), ("1e999", nil), ("1,5", nil), ("abc", nil), ("１", nil), ("-", nil),
    ] as [(String, Double?)])
    func amountsAreNumbersOrNull(text: String, number: Double?) throws {
        let record = try record(properties: #"{"amount":"\#(text)"}"#, type: .deals)
        #expect(BSONDocument(bytes: record.fields)["amount"] == (number.map(BSONValue.double) ?? .null))
        #expect(strings(record.properties) == ["amount": text])
    }

    @Test(arguments: [
        ("2026-11-23", 1_795_392_000_000), ("2026-11-23T10:00:00.5Z", 1_795_428_000_500), ("1572480000000", 1_572_480_000_000), ("", nil), ("soon", nil),
    ] as [(String, Int64?)])
    func closeDatesAreDatesOrNull(text: String, milliseconds: Int64?) throws {
        let record = try record(properties: #"{"closedate":"\#(text)"}"#, type: .deals)
        #expect(BSONDocument(bytes: record.fields)["closeDate"] == (milliseconds.map(BSONValue.date) ?? .null))
    }

    @Test func valuesThatAreNotStringsKeepTheirText() throws {
        let record = try record(properties: #"{"a":12.50,"b":true,"c":[1, "\n"],"d":{"x":null},"numberofemployees":7}"#, id: "151", type: .companies)
        #expect(record.id == "151")
        #expect(strings(record.properties) == ["a": "12.50", "b": "true", "c": #"[1, "\n"]"#, "d": #"{"x":null}"#, "numberofemployees": "7"])
        #expect(BSONDocument(bytes: record.fields)["numberOfEmployees"] == .double(7))
    }

    @Test func aNameThatComesTwiceCountsOnceWithItsLastValue() throws {
        let record = try record(properties: #"{"email":"old","a":"1","\u0065mail":"new"}"#)
        #expect(BSONDocument(bytes: record.properties) == ["email": "new", "a": "1"])
        #expect(BSONDocument(bytes: record.fields)["email"] == "new")
    }

    @Test func mergedIdsComeFromBothPropertiesWithoutTheOwn() throws {
        let merged = try record(properties: #"{"hs_merged_object_ids":"1;151; 2;;x","hs_calculated_merged_vids":"2:1700000000000;3:1700000000001"}"#)
        #expect(merged.mergedIds == ["1", "2", "3"])
        #expect(try record(properties: #"{"hs_calculated_merged_vids":"2:17"}"#, type: .deals).mergedIds.isEmpty)
    }

    @Test(arguments: [
        (#"{"properties":{},"createdAt":"2024-01-17T19:55:04Z","updatedAt":"2024-01-17T19:55:04Z"}"#, nil),
        (#"{"id":"","properties":{},"createdAt":"2024-01-17T19:55:04Z","updatedAt":"2024-01-17T19:55:04Z"}"#, nil),
        (#"{"id":"../1","properties":{},"createdAt":"2024-01-17T19:55:04Z","updatedAt":"2024-01-17T19:55:04Z"}"#, nil),
        (#"{"id":"1","properties":{},"updatedAt":"2024-01-17T19:55:04Z"}"#, "1"),
        (#"{"id":"1","properties":{},"createdAt":"2024-01-17T19:55:04Z","updatedAt":"yesterday"}"#, "1"),
        (#"{"id":"1","createdAt":"2024-01-17T19:55:04Z","updatedAt":"2024-01-17T19:55:04Z"}"#, "1"),
        (#"{"id":"1","properties":{"a\u0000b":"1"},"createdAt":"2024-01-17T19:55:04Z","updatedAt":"2024-01-17T19:55:04Z"}"#, "1"),
        ("[1]", nil), ("null", nil),
    ] as [(String, String?)])
    func anUnusableRecordIsAFailureOfItsOwn(json: String, id: String?) throws {
        switch try read(Array(json.utf8)) {
        case .success(let record): Issue.record("read as \(record)")
        case .failure(let failure): #expect(failure.id == id && !failure.message.isEmpty)
        }
    }

    /// Every string that `JSONSerialization` reads is read the same, whatever it holds.
    @Test func hardValuesAreReadLikeTheReference() throws {
        let values: [Any] = [
            "", " ", "\"\\/\u{8}\u{c}\n\r\t", "\u{0}", "a\u{0}b", "é", "e\u{301}", "😀", "👩‍👩‍👧‍👦", "a\u{FEFF}bom", "\u{2028}\u{2029}", "日本語",
            String(repeating: "x", count: 65_536), String(repeating: "ü\n", count: 20_000), "1234567890123456789", "a;b;c", NSNull(),
            "2026-11-23T10:00:00Z", "{\"a\":1}", "\u{10FFFF}", "\u{7F}",
        ]
        var properties: [String: Any] = [:]
        for (index, value) in values.enumerated() { properties["custom_\(index)"] = value }
        properties["näme \"q\" \\ 😀"] = "v"
        let object: [String: Any] = ["id": "151", "properties": properties, "createdAt": "2024-01-17T19:55:04Z", "updatedAt": "2024-01-17T19:55:04Z"]
        let plain = Array(try JSONSerialization.data(withJSONObject: object))
        // The same text with every character escaped.
        let escaped = String(decoding: plain, as: UTF8.self).utf16.flatMap { unit in
            unit < 128 ? Array(String(UnicodeScalar(UInt8(unit))).utf8) : Array(("\\u" + String(UInt32(unit) + 0x10000, radix: 16).dropFirst()).utf8)
        }
        for json in [plain, escaped] {
            let reference = try #require(try JSONSerialization.jsonObject(with: Data(json)) as? [String: Any])
            let expected = try #require(reference["properties"] as? [String: Any]).mapValues { $0 as? String }
            let found = strings(try read(json).get().properties)
            #expect(found.keys.sorted() == expected.keys.sorted())
            for (name, value) in expected {
                #expect(found[name].flatMap { $0 }.map { Array($0.unicodeScalars) } == value.map { Array($0.unicodeScalars) }, "\(name)")
            }
        }
    }

    @Test func aLoneSurrogateIsReplaced() throws {
        #expect(strings(try record(properties: #"{"a":"x\ud800y","b":"\udc00"}"#).properties) == ["a": "x\u{FFFD}y", "b": "\u{FFFD}"])
    }

    /// Truncated and mutated text is thrown or read, and what is read is a whole document; nothing traps.
    @Test(arguments: [1, 2, 3, 4] as [UInt64]) func damagedTextNeverTraps(seed: UInt64) throws {
        let base = Array(#"{"id":"151","properties":{"email":"a\u00e9\ud83d\ude00b","x":null,"n":-1.5e3,"hs_merged_object_ids":"1;2","closedate":"2026-11-23"},"createdAt":"2024-01-17T19:55:04.281Z","updatedAt":"2026-11-20T08:00:00Z","archived":false}"#.utf8)
        for length in base.indices { #expect(throws: JSONError.self) { try read(Array(base[..<length])) } }
        var state = seed
        func random(_ bound: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(state >> 33) % bound
        }
        let likely = Array("{}[]\",:\\u0dDeE+-.;tfn \u{0}\u{7F}".utf8) + [0x80, 0xC3, 0xFF]
        var readings = 0
        for _ in 0..<5_000 {
            var json = base
            for _ in 0...random(3) {
                switch random(3) {
                case 0: json[random(json.count)] = likely[random(likely.count)]
                case 1: json.remove(at: random(json.count))
                default: json.insert(likely[random(likely.count)], at: random(json.count))
                }
            }
            guard let result = try? read(json) else { continue }
            if case .success(let record) = result {
                readings += 1
                #expect((try? JSONSerialization.jsonObject(with: Data(json))) != nil || json.contains(0x5C))
                var length = 4
                for element in BSONDocument(bytes: record.properties).elements { length += 2 + element.name.utf8.count + (element.string.map { $0.utf8.count + 5 } ?? 0) }
                #expect(length + 1 == record.properties.count)
            }
        }
        #expect(readings > 100)
    }
}
