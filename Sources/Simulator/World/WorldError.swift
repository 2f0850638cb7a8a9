/// Why a change of the world was refused.
public struct WorldError: Error, Sendable, Equatable {
    public enum Kind: Sendable, Equatable {
        case notFound
        /// Another record holds a value that must be unique; its id.
        case conflict(existing: Int64)
        /// Properties that do not exist, cannot be written, or hold what they must not; each with HubSpot's code.
        case invalid([Problem])
        case tooManyMerges
    }

    public struct Problem: Sendable, Equatable {
        public let property: String
        public let code: String
        public let message: String
    }

    public let kind: Kind
}
