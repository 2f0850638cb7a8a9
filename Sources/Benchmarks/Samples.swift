import Bytes
import HubSpot
import Model
import Store

/// What the small benchmarks work on: made by a fixed rule, so that an instruction counted today is one counted tomorrow.
enum Samples {
    /// A page of 100 contacts with 45 properties each, of which a third is null: some 200 KB.
    static let page: [UInt8] = {
        var json = JSONWriter(capacity: 1 << 18)
        json.object { json in
            json.key("results")
            json.array { json in
                for record in 0..<100 {
                    json.object { json in
                        json.key("id")
                        json.string("\(10_000_000 + record)")
                        json.key("properties")
                        json.object { json in
                            for (name, value) in properties(record) {
                                json.key(name)
                                json.string(value)
                            }
                        }
                        json.key("createdAt")
                        json.string("2024-01-17T19:55:04.281Z")
                        json.key("updatedAt")
                        json.string("2026-11-20T08:00:00.000Z")
                        json.key("archived")
                        json.bool(false)
                        json.key("url")
                        json.string("https://app.hubspot.com/contacts/62515/record/0-1/\(10_000_000 + record)")
                    }
                }
            }
            json.key("paging")
            json.object { json in
                json.key("next")
                json.object { json in
                    json.key("after")
                    json.string("10000100")
                }
            }
        }
        return json.finish()
    }()

    private static func properties(_ record: Int) -> [(String, String?)] {
        var properties: [(String, String?)] = [
            ("company", "Analytical Engines Ltd \(record)"), ("createdate", "2024-01-17T19:55:04.281Z"), ("email", "ada.\(record)@example.com"),
            ("firstname", record % 10 == 0 ? "Zoë" : "Ada"), ("hs_object_id", "\(10_000_000 + record)"), ("jobtitle", "Programmer"),
            ("lastmodifieddate", "2026-11-20T08:00:00.000Z"), ("lastname", "Lovelace"), ("lifecyclestage", "customer"),
            ("notes", record % 5 == 0 ? "First line\nsecond \"line\"" : "A line of plain text about this contact"), ("phone", "+41 44 000 00 \(record)"),
        ]
        for index in 0..<34 {
            properties.append(("custom_property_\(index)", index % 3 == 0 ? nil : "value \(record * 31 + index) of \(index)"))
        }
        return properties
    }

    static let records: [Record] = (try? Answer(page, RecordReader(.contacts)).records) ?? []

    /// 50 documents as the mirror holds them.
    static let documents: [BSONDocument] = records.prefix(50).map { $0.mirrorDocument(at: Timestamp(milliseconds: 1_763_625_600_000)) }

    /// A webhook body of so many property changes; of a type that is not mirrored, they are stored and nothing more.
    static func body(_ events: Int, from first: Int = 0, of type: String = "contact") -> [UInt8] {
        var json = JSONWriter(capacity: events * 300)
        json.array { json in
            for event in 0..<events {
                json.object { json in
                    json.key("eventId")
                    json.integer(3_000_000_000 + first + event)
                    json.key("subscriptionId")
                    json.integer(25)
                    json.key("portalId")
                    json.integer(62515)
                    json.key("appId")
                    json.integer(1_160_452)
                    json.key("occurredAt")
                    json.integer(1_763_625_600_000 + first + event)
                    json.key("subscriptionType")
                    json.string("\(type).propertyChange")
                    json.key("attemptNumber")
                    json.integer(0)
                    json.key("objectId")
                    json.integer(10_000_000 + (first + event) % 1000)
                    json.key("propertyName")
                    json.string("firstname")
                    json.key("propertyValue")
                    json.string("Ada")
                    json.key("changeSource")
                    json.string("CRM_UI")
                }
            }
        }
        return json.finish()
    }
}
