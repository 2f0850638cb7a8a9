/// What became of webhook events and of the requests that carried them.
public struct DeliveryCounters: Sendable, Equatable {
    /// Events that happened and are subscribed to.
    public var events = 0
    /// Events sent twice, and events never sent, by the switches.
    public var duplicated = 0
    public var withheld = 0
    /// Requests sent, repeated ones included.
    public var requests = 0
    /// Requests answered 2xx in time, and those that were not.
    public var accepted = 0
    public var failed = 0
    /// Events answered 2xx in time.
    public var acceptedEvents = 0
    /// Events put off to a later attempt.
    public var retried = 0
    /// Events given up after the last attempt.
    public var dropped = 0
    /// Events that wait, are under way or are put off.
    public var pending = 0
    /// Failed requests by what happened: a status, `deadline` or `connection`.
    public var failures: [String: Int] = [:]
    /// Times to an answer, in milliseconds.
    public var p50 = 0.0
    public var p99 = 0.0
    public var max = 0.0
}
