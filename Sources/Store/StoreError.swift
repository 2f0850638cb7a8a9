/// What a caller asked of the store that it cannot do. MongoDB's own errors are `MongoError`.
public struct StoreError: Error, Sendable, Equatable {
    public enum Kind: String, Sendable {
        /// The cursor was damaged or made for another sort: start again at the first page.
        case badCursor
        /// What happened since cannot be told: read everything anew.
        case lostPosition
    }

    public let kind: Kind
    public let message: String
}

extension StoreError: CustomStringConvertible {
    public var description: String { message }
}
