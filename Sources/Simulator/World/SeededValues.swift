/// Texts that seeded records draw from, kept both plain and as JSON. Half of the JSON is pure ASCII with `\u` escapes.
enum SeededValues {
    struct Text: Sendable {
        let plain: [UInt8]
        let json: [UInt8]

        init(_ text: String, escaped: Bool = false) {
            plain = Array(text.utf8)
            json = escaped ? JSONText.quotedASCII(text) : JSONText.quoted(text)
        }
    }

    static let firstNames = texts([
        "Ada", "Grace", "Zoë", "Łukasz", "太郎", "Nour", "Søren", "José", "O'Brien", "Anne-Marie", "İpek", "Жанна", "明", "Ümit", "X",
        "Jean \"Jack\"",
    ])
    static let lastNames = texts([
        "Lovelace", "Hopper", "Müller", "Kowalski", "山田", "الهاشمي", "Kierkegaard", "García Márquez", "d'Artagnan", "van der Waals",
        "Yılmaz", "Иванова", "王", "Öztürk", "Y\\Z", "null",
    ])
    static let organisations = texts([
        "Example GmbH & Co. KG", "東京株式会社", "Ünïcødé Ltd.", "\"Quoted\" Inc.", "Back\\Slash AG", "شركة المثال", "Acme",
        "O’Reilly’s <b>Pub</b>",
    ])
    static let addresses = texts([
        "1 Main Street\nSpringfield", "Straße des 17. Juni 135", "〒100-0001 東京都千代田区千代田1-1", "Piazza\tSan Marco, 1",
        "שדרות רוטשילד 1",
    ])
    /// What breaks software that was tested with "foo".
    static let hardTexts = texts([
        "plain text", "", " ", "null", "0", "-1", "true", "NaN", "undefined", "{}", "[]", "$set", "$where", "a.b.c", "tab\there",
        "line\nbreak\r\nand more", "quote \" and backslash \\ and slash /", "\u{1}\u{1F}\u{7F}",
        "line\u{2028}separator\u{2029}paragraph",
        "Zoë 東京 🚀", "👩‍👩‍👧‍👦 family", "e\u{301} is not é", "\u{202E}right to left\u{202C}", "مرحبا بالعالم", "שלום עולם", "🇩🇪🇯🇵",
        "\u{FEFF}BOM", "\u{FFFD}", "\u{10FFFF}", "<script>alert('x')</script>", "'; DROP TABLE contacts; --", "a;b;c", "  padded  ",
        "Ω≈ç√∫˜µ≤≥÷", "﷽", "\u{0}nul", "C:\\new\\table", "%s %d %n", "２０２６年", "ﬁ ligature", "https://example.com/?a=1&b=2#c", "😀",
    ])
    static let hardNumbers = texts([
        "0", "1", "-1", "007", "3.14159265358979323846", "1e21", "1.5E-7", "9223372036854775807", "9999999999999999999", "-0",
        "0.1", "100.00", "12345678901234567890.5", ".5", "1000000", "42",
    ])
    /// 65,536 UTF-16 units, the longest text that HubSpot keeps.
    static let longText: Text = {
        let part = "Lorem ipsum \"dolor\" sit amet,\nZoë 東京 🚀 \\ – "
        let units = part.utf16.count
        let text = String(repeating: part, count: 65_536 / units) + String(repeating: "x", count: 65_536 % units)
        return Text(text)
    }()

    private static func texts(_ all: [String]) -> [Text] {
        all.enumerated().map { Text($1, escaped: $0 % 2 == 1) }
    }
}
