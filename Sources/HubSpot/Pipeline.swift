/// One pipeline with its stages; records name both by id.
public struct Pipeline: Sendable, Codable, Equatable {
    public struct Stage: Sendable, Codable, Equatable {
        public let id: String
        public let label: String?
        public let displayOrder: Int?
        public let archived: Bool?
        /// `isClosed` and `probability`, as text.
        public let metadata: [String: String]?
    }

    public let id: String
    public let label: String?
    public let displayOrder: Int?
    public let archived: Bool?
    public let stages: [Stage]?
}
