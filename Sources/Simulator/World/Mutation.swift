/// A kind of random change.
public enum Mutation: String, Sendable, CaseIterable {
    case update, create, delete, restore, merge, associate, dissociate, gdpr

    /// How often each kind happens, relative to the others.
    public static let defaultMix: [Mutation: Double] = [
        .update: 12, .create: 2, .delete: 2, .restore: 1, .merge: 1, .associate: 1, .dissociate: 1, .gdpr: 0.3,
    ]
}
