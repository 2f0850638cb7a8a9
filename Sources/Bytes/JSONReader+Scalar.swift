extension JSONReader {
    /// The next value as text: a string's characters, nil for null, and any other value as its JSON text.
    ///
    /// For places where a peer promises strings and the rest is to be survived.
    public mutating func textOrNull() throws(JSONError) -> Slice? {
        switch try peek() {
        case .string: return try string()
        case .null:
            try null()
            return nil
        default:
            let start = position  // `peek` has passed the white space
            try skip()
            return Slice(range: start..<position, isEscaped: false)
        }
    }
}
