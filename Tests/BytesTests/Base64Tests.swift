import Bytes
import Foundation
import Testing

@Suite struct Base64Tests {
    @Test func agreesWithFoundation() {
        for count in 0...100 {
            let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 37 &+ count) }
            let text = Data(bytes).base64EncodedString()
            #expect(Base64.standard.encode(bytes) == text)
            #expect(Base64.standard.decode(text) == bytes)
            let url = text.replacing("+", with: "-").replacing("/", with: "_").replacing("=", with: "")
            #expect(Base64.url.encode(bytes) == url)
            #expect(Base64.url.decode(url) == bytes)
        }
    }

    @Test(arguments: ["A", "AA", "AA=", "A===", "AB==", "AAA", "AA=A", "AAAA=", "AA AA", "A\nAA", "AA-_", "AAÄ="])
    func refusesWhatEncodeDoesNotMake(text: String) { #expect(Base64.standard.decode(text) == nil) }
}
