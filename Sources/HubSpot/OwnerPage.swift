/// One page of the account's owners.
public struct OwnerPage: Sendable {
    public let owners: [Owner]
    /// The cursor of the next page; nil at the end.
    public let after: String?

    public init(owners: [Owner], after: String?) {
        self.owners = owners
        self.after = after
    }
}
