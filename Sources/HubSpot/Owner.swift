/// Someone (or a queue) that records can belong to; `hubspot_owner_id` holds `id`.
public struct Owner: Sendable, Codable, Equatable {
    public let id: String
    public let email: String?
    public let type: String?
    public let firstName: String?
    public let lastName: String?
    public let userId: Int64?
    public let archived: Bool?
}
