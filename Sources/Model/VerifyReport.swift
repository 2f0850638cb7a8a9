/// What a comparison of mirror and HubSpot found. Holds ids and names, no values.
public struct VerifyReport: Sendable, Equatable {
    public static let differencesMax = 100
    public static let errorMessagesMax = 100

    /// The numbers of one type, in records.
    public struct Counts: Sendable, Equatable {
        /// Records that were compared.
        public var checked = 0
        /// Those of them that differ, and still did when they were read again.
        public var different = 0
        /// Those that differ because they changed just now: not drift.
        public var inFlight = 0
        /// Those of `different` that were made equal.
        public var repaired = 0
        /// Records that HubSpot could not read.
        public var unreadable = 0
        /// Records by what differs; one can differ in several ways.
        public var kinds: [Drift.Kind: Int] = [:]

        public init() {}

        public mutating func add(_ other: Self) {
            checked += other.checked
            different += other.different
            inFlight += other.inFlight
            repaired += other.repaired
            unreadable += other.unreadable
            kinds.merge(other.kinds, uniquingKeysWith: +)
        }
    }

    public let startedAt: Timestamp
    public var finishedAt: Timestamp
    /// Records of each type that were asked for; nil for all.
    public let sample: Int?
    public let repair: Bool
    public var byType: [RecordType: Counts] = [:]
    /// At most `differencesMax`.
    public var differences: [Drift] = []
    /// At most `errorMessagesMax`: what could not be compared or repaired, each naming type and id.
    public var errorMessages: [String] = []

    public init(startedAt: Timestamp, sample: Int?, repair: Bool) {
        self.startedAt = startedAt
        finishedAt = startedAt
        self.sample = sample
        self.repair = repair
    }

    /// All types together.
    public var sum: Counts { byType.values.reduce(into: Counts()) { $0.add($1) } }

    /// Adds a message that is not there yet.
    public mutating func note(_ message: String) {
        if errorMessages.count < VerifyReport.errorMessagesMax, !errorMessages.contains(message) { errorMessages.append(message) }
    }
}
