import Model

/// The life of one instance, from its start to its sudden death. All that it does outside of itself asks here first.
final class Life: @unchecked Sendable {  // belongs to one `JobThread`
    private(set) var isDead = false
    /// Steps that are left: each command to MongoDB is two, one before its effect and one after, and each call to HubSpot is one.
    private var stepsLeft: Int?
    /// The process stands still until then, and knows nothing of it.
    var stalledUntil: Duration = .zero
    private var onDeath: (() -> Void)?

    init(steps: Int?) { stepsLeft = steps }

    /// Calls `body` once, at the death.
    func whenDead(_ body: @escaping () -> Void) { onDeath = body }

    func die() {
        guard !isDead else { return }
        isDead = true
        onDeath?()
        onDeath = nil
    }

    /// False when it has come to its end.
    func step() -> Bool {
        if let left = stepsLeft {
            if left == 0 { die() } else { stepsLeft = left - 1 }
        }
        return !isDead
    }
}
