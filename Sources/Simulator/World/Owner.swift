/// A user of the account who can own records.
struct Owner: Sendable {
    let id: Int64
    let email: String
    let firstName: String
    let lastName: String
    let userId: Int64
    var isArchived: Bool

    static let all: [Owner] = [
        ("Ada", "Lovelace"), ("Grace", "Hopper"), ("Zoë", "Müller"), ("太郎", "山田"), ("Nour", "الهاشمي"), ("Left", "Long-Ago"),
    ].enumerated().map { index, name in
        Owner(
            id: 41_629_779 + Int64(index) * 1_000_003, email: "owner\(index)@example.com", firstName: name.0, lastName: name.1,
            userId: 52_530_071 + Int64(index), isArchived: index == 5)
    }
}
