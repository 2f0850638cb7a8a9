import Signature
import Testing

@Suite struct MessageAuthenticatorTests {
    /// RFC 4231, test case 2.
    @Test func tagsAreHMACSHA256() throws {
        let tag = try MessageAuthenticator(key: Array("Jefe".utf8)).tag(for: Array("what do ya want for nothing?".utf8))
        let expected: [UInt8] = [
            0x5b, 0xdc, 0xc1, 0x46, 0xbf, 0x60, 0x75, 0x4e, 0x6a, 0x04, 0x24, 0x26, 0x08, 0x95, 0x75, 0xc7,
            0x5a, 0x00, 0x3f, 0x08, 0x9d, 0x27, 0x39, 0x83, 0x9d, 0xec, 0x58, 0xb9, 0x64, 0xec, 0x38, 0x43,
        ]
        #expect(tag == expected)
    }

    @Test func onlyTheOwnTagOfTheMessageIsValid() throws {
        let ours = try MessageAuthenticator(key: SecureRandom.bytes(32)),
            theirs = try MessageAuthenticator(key: SecureRandom.bytes(32))
        let message = Array("session 1".utf8)
        let tag = ours.tag(for: message)
        #expect(ours.isValid(tag: tag, for: message))
        #expect(!theirs.isValid(tag: tag, for: message))
        #expect(!ours.isValid(tag: tag, for: Array("session 2".utf8)))
        #expect(!ours.isValid(tag: tag.dropLast() + [], for: message))
        #expect(!ours.isValid(tag: [], for: message))
        for index in tag.indices {
            var changed = tag
            changed[index] ^= 1
            #expect(!ours.isValid(tag: changed, for: message))
        }
    }

    @Test func anEmptyMessageHasATag() throws {
        let authenticator = try MessageAuthenticator(key: [1])
        #expect(authenticator.isValid(tag: authenticator.tag(for: []), for: []))
    }

    @Test func anEmptyKeyIsRefused() {
        #expect(throws: SignatureError.self) { try MessageAuthenticator(key: []) }
    }

    @Test func equalMeansTheSameBytesInTheSameNumber() {
        #expect(constantTimeEquals([], []))
        #expect(constantTimeEquals([1, 2], [1, 2]))
        #expect(!constantTimeEquals([1, 2], [1, 3]))
        #expect(!constantTimeEquals([1, 2], [1, 2, 0]))
    }

    @Test func randomBytesAreAsManyAsAskedForAndNeverTwiceTheSame() {
        #expect(SecureRandom.bytes(0).isEmpty)
        let drawn = Set((0..<100).map { _ in SecureRandom.bytes(16) })
        #expect(drawn.count == 100)
        #expect(drawn.allSatisfy { $0.count == 16 })
    }
}
