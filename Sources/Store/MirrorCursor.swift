internal import Bytes

/// Where a page ended: the last record's id and its value of the sorted field. Opaque to clients, checked when it comes back.
struct MirrorCursor: Equatable {
    /// Bytes of a text that a cursor carries; of a longer one it carries only the id, and the text is read again.
    static let textMax = 512

    let id: String
    /// nil: to be read from the record, since it was too long for a URL.
    let value: BSONValue?

    init(id: String, value: BSONValue) {
        self.id = id
        self.value = value
    }

    /// - Parameters:
    ///   - sort: what makes a cursor of another order useless.
    /// - Throws: `.badCursor` for anything that `encoded(for:)` of the same sort did not make.
    init(_ text: String, for sort: String) throws(StoreError) {
        guard let bytes = Base64.url.decode(text) else { throw MirrorCursor.damaged }
        let document = BSONDocument(bytes: bytes)
        guard let made = document.elements.first(named: "s")?.string, let id = document.elements.first(named: "i")?.string else { throw MirrorCursor.damaged }
        guard made == sort else {
            throw StoreError(kind: .badCursor, message: "the cursor was made for another sort or search; start at the first page")
        }
        self.id = id
        let element = document.elements.first(named: "v")
        switch element?.type {
        // Only these are compared as values; a document or a pattern would be an operator of the query.
        case nil, .null, .string, .double, .int32, .int64, .bool, .date: value = element?.value
        default: throw MirrorCursor.damaged
        }
        guard encoded(for: sort) == text else { throw MirrorCursor.damaged }
    }

    func encoded(for sort: String) -> String {
        var writer = BSONWriter()
        writer.append("s", sort)
        writer.append("i", id)
        switch value {
        case nil: break
        case .string(let text)? where text.utf8.count > MirrorCursor.textMax: break
        case let value?: writer.append("v", value)
        }
        return Base64.url.encode(writer.finish())
    }

    private static let damaged = StoreError(kind: .badCursor, message: "the cursor is not one that this service made")
}
