/// Waits until the condition holds, asking every few milliseconds; the test's time limit ends a wait in vain.
///
/// Only for what gives no signal.
public func eventually(_ condition: () async throws -> Bool) async throws {
    while try await !condition() { try await Task.sleep(for: .milliseconds(5)) }
}
