/// Stands in for the client, of which the reader of answers needs two things that this is not about.
enum HubSpotClient {
    struct Damage: Error {
        init(_ what: String) {}
    }

    static func quotable(_ message: String, hiding token: String) -> String { message }
}
