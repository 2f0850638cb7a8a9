/// One page or a part of one, in what the pages need of Mustache (mustache(5)): `{{name}}` and `{{name.name}}`, sections, inverted sections and
/// partials. What is named is escaped for HTML.
///
/// Our own, since swift-mustache reads folders by Foundation, which comes with ICU's data: half of a binary.
struct Template: Sendable {
    private enum Part: Sendable {
        case text(String)
        case value([String])
        indirect case section([String], [Part], isInverted: Bool)
        case partial(String)
    }

    /// What is wrong with the text of a template.
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    private let parts: [Part]

    /// - Throws: `Failure` when a tag or a section has no end.
    init(_ text: String) throws(Failure) {
        var tokens = try Template.tokens(of: text)[...]
        parts = try Template.parts(&tokens, of: nil)
    }

    /// - Parameters:
    ///   - values: text and numbers, which are shown; flags, lists and further values for sections.
    ///   - partials: by name, those that this one and they themselves name.
    func render(_ values: [String: Any], _ partials: [String: Template]) -> String {
        var html = ""
        Template.render(parts, [values], partials, to: &html)
        return html
    }

    // MARK: Reading

    private enum Token {
        case text(Substring)
        /// What stands between the braces.
        case tag(Substring)
    }

    /// A tag that stands alone on its line, other than a value's, takes the line with it.
    private static func tokens(of text: String) throws(Failure) -> [Token] {
        let pieces = text.split(separator: "{{", omittingEmptySubsequences: false)
        var texts = [pieces[0]]
        var tags: [Substring] = []
        for piece in pieces.dropFirst() {
            guard let end = piece.firstRange(of: "}}") else { throw Failure(description: "a tag has no end: {{\(piece.prefix(40))") }
            tags.append(piece[..<end.lowerBound])
            texts.append(piece[end.upperBound...])
        }
        let isAlone = tags.indices.map { index in
            let before = texts[index].lastLine, after = texts[index + 1].prefix { $0 != "\n" }
            return tags[index].first.map { "#^/>".contains($0) } == true && before.allSatisfy(\.isWhitespace) && after.allSatisfy(\.isWhitespace)
                && (index == 0 || before.startIndex > texts[index].startIndex)
                && (index == tags.count - 1 || after.endIndex < texts[index + 1].endIndex)
        }
        var tokens: [Token] = []
        for index in texts.indices {
            var text = texts[index]
            if index < tags.count, isAlone[index] { text = text[..<text.lastLine.startIndex] }
            if index > 0, isAlone[index - 1] { text = text.drop { $0 != "\n" }.dropFirst() }
            tokens.append(.text(text))
            if index < tags.count { tokens.append(.tag(tags[index])) }
        }
        return tokens
    }

    /// Up to the end of the section, or of all.
    private static func parts(_ tokens: inout ArraySlice<Token>, of section: Substring?) throws(Failure) -> [Part] {
        var parts: [Part] = []
        while let token = tokens.popFirst() {
            switch token {
            case .text(let text): if !text.isEmpty { parts.append(.text(String(text))) }
            case .tag(let tag):
                let name = tag.dropFirst()
                switch tag.first {
                case "#", "^": parts.append(.section(path(name), try Template.parts(&tokens, of: name), isInverted: tag.first == "^"))
                case "/":
                    guard name == section else { throw Failure(description: "{{\(tag)}} ends another section: \(section ?? "none")") }
                    return parts
                case ">": parts.append(.partial(String(name.drop(while: \.isWhitespace))))
                default: parts.append(.value(path(tag)))
                }
            }
        }
        if let section { throw Failure(description: "the section {{#\(section)}} has no end") }
        return parts
    }

    private static func path(_ name: Substring) -> [String] { name.split(separator: ".").map(String.init) }

    // MARK: Writing

    private static func render(_ parts: [Part], _ contexts: [Any], _ partials: [String: Template], to html: inout String) {
        for part in parts {
            switch part {
            case .text(let text): html += text
            case .value(let path): if let value = find(path, contexts) { html += "\(value)".escapedForHTML }
            case .partial(let name):
                guard let partial = partials[name] else { preconditionFailure("there is no template \(name)") }
                render(partial.parts, contexts, partials, to: &html)
            case .section(let path, let parts, let isInverted):
                let shown = instances(of: find(path, contexts))
                if isInverted {
                    if shown.isEmpty { render(parts, contexts, partials, to: &html) }
                } else {
                    for context in shown { render(parts, contexts + [context], partials, to: &html) }
                }
            }
        }
    }

    /// What a section is shown for: each of a list, or the value itself unless it says no.
    private static func instances(of value: Any?) -> [Any] {
        switch value {
        case nil: []
        case let flag as Bool: flag ? [flag] : []
        case let list as [Any]: list
        case let value?: [value]
        }
    }

    /// The value of the innermost context that has the name.
    private static func find(_ path: [String], _ contexts: [Any]) -> Any? {
        guard let first = path.first else { return nil }
        for context in contexts.reversed() {
            guard var value = (context as? [String: Any])?[first] else { continue }
            for name in path.dropFirst() {
                guard let inner = (value as? [String: Any])?[name] else { return nil }
                value = inner
            }
            return value
        }
        return nil
    }
}

extension Substring {
    fileprivate var lastLine: Substring { lastIndex(of: "\n").map { self[index(after: $0)...] } ?? self }
}

extension String {
    /// For text and for quoted attributes. By scalars: a quote with an accent behind it is one character to a reader, and a quote to a browser.
    fileprivate var escapedForHTML: String {
        var escaped = UnicodeScalarView()
        escaped.reserveCapacity(unicodeScalars.count)
        for scalar in unicodeScalars {
            switch scalar {
            case "&": escaped.append(contentsOf: "&amp;".unicodeScalars)
            case "<": escaped.append(contentsOf: "&lt;".unicodeScalars)
            case ">": escaped.append(contentsOf: "&gt;".unicodeScalars)
            case "\"": escaped.append(contentsOf: "&quot;".unicodeScalars)
            case "'": escaped.append(contentsOf: "&#39;".unicodeScalars)
            default: escaped.append(scalar)
            }
        }
        return String(escaped)
    }
}
