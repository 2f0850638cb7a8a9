import Testing

@testable import Web

@Suite struct TemplateTests {
    private func render(_ text: String, _ values: [String: Any] = [:], _ partials: [String: String] = [:]) throws -> String {
        try Template(text).render(values, try partials.mapValues { try Template($0) })
    }

    @Test func namesStandForValues() throws {
        #expect(try render("{{name}} is {{age}}, {{at.text}}.{{absent}}", ["name": "Zoë", "age": 7, "at": ["text": "now"]]) == "Zoë is 7, now.")
        #expect(try render("{{at.absent}}{{name.text}}{{at.text.more}}", ["at": ["text": "now"], "name": "x"]) == "")
        #expect(try render("no tags } } {", [:]) == "no tags } } {")
        #expect(try render("") == "")
    }

    /// By scalars: with the accent behind it, the quote is one character.
    @Test func whatIsNamedIsEscaped() throws {
        #expect(try render("<b title=\"{{x}}\">", ["x": "<a href='\"&\">\u{301}"]) == "<b title=\"&lt;a href=&#39;&quot;&amp;&quot;&gt;\u{301}\">")
        #expect(try render("{{x}}", ["x": "\"\u{301}"]) == "&quot;\u{301}")
        #expect(try render("{{x}}", ["x": "{{y}}", "y": "no"]) == "{{y}}")
    }

    @Test func sectionsAreShownForWhatThereIs() throws {
        let text = "{{#x}}[{{y}}{{z}}]{{/x}}{{^x}}none{{/x}}"
        #expect(try render(text, ["z": "!"]) == "none")
        #expect(try render(text, ["x": false, "z": "!"]) == "none")
        #expect(try render(text, ["x": [[String: Any]]()]) == "none")
        #expect(try render(text, ["x": true, "z": "!"]) == "[!]")
        #expect(try render(text, ["x": "text", "z": "!"]) == "[!]")
        #expect(try render(text, ["x": 0, "z": "!"]) == "[!]")
        #expect(try render(text, ["x": ["y": "1"], "z": "!"]) == "[1!]")
        #expect(try render(text, ["x": [["y": "1"], ["y": "2", "z": "?"], [:]] as [[String: Any]], "z": "!"]) == "[1!][2?][!]")
    }

    @Test func theInnermostMeaningOfANameCounts() throws {
        let values: [String: Any] = ["name": "outer", "list": [["name": "inner", "list": [["other": "1"]]], ["other": "2"]] as [[String: Any]]]
        #expect(try render("{{#list}}{{name}}{{#list}}<{{name}}{{other}}>{{/list}} {{/list}}", values).hasPrefix("inner<inner1> "))
        #expect(try render("{{#a}}{{#b}}{{a}}{{/b}}{{/a}}", ["a": "x", "b": true]) == "x")
    }

    @Test func partialsSeeWhatIsAroundThem() throws {
        let partials = ["row": "<{{name}}>", "rows": "{{#rows}}{{> row}}{{/rows}}"]
        #expect(try render("{{>rows}}|{{> row}}", ["rows": [["name": "a"], ["name": "b"]], "name": "c"], partials) == "<a><b>|<c>")
    }

    /// Tags alone on a line leave no line behind.
    @Test func linesOfTagsAreLeftOut() throws {
        let text = "<ul>\n{{#x}}\n  <li>{{y}}</li>\n  {{/x}}\n</ul>\n{{> foot}}\n"
        #expect(try render(text, ["x": [["y": 1], ["y": 2]]], ["foot": "end\n"]) == "<ul>\n  <li>1</li>\n  <li>2</li>\n</ul>\nend\n")
        #expect(try render("{{#x}}\na\n{{/x}}", ["x": true]) == "a\n")
        #expect(try render("a {{#x}}\nb{{/x}}\nc", ["x": true]) == "a \nb\nc")
        #expect(try render("{{x}}\n", ["x": "v"]) == "v\n")
        #expect(try render("{{#x}} {{/x}}\n", ["x": true]) == " \n")
        #expect(try render("\n{{#x}}\n\n{{/x}}\n\n", ["x": true]) == "\n\n\n")
    }

    @Test(arguments: ["{{", "a {{b", "{{#a}}", "{{#a}}{{/b}}", "{{/a}}", "{{#a}}{{^b}}{{/a}}{{/b}}"]) func aBadTemplateSaysWhatIsWrong(text: String) {
        #expect(throws: Template.Failure.self) { try Template(text) }
    }
}
