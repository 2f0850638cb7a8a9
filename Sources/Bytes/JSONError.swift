/// Why a text is not the JSON that was expected.
public struct JSONError: Error, Sendable, Equatable {
    public enum Kind: Sendable {
        /// The text ends too early: cut short on its way.
        case truncated
        /// Not JSON at `offset`, or JSON of another kind than expected there.
        case syntax
        /// Not UTF-8.
        case encoding
        /// Containers nested deeper than 128.
        case depth
    }

    public let kind: Kind
    /// Bytes from the start of the text.
    public let offset: Int

    public init(_ kind: Kind, at offset: Int) {
        self.kind = kind
        self.offset = offset
    }
}

extension JSONError: CustomStringConvertible {
    public var description: String {
        switch kind {
        case .truncated: "the JSON text ends too early, after \(offset) bytes"
        case .syntax: "unexpected character at byte \(offset) of the JSON text"
        case .encoding: "the JSON text is not UTF-8"
        case .depth: "the JSON text is nested too deeply at byte \(offset)"
        }
    }
}
