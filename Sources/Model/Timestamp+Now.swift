import Glibc

extension Timestamp {
    /// The wall clock's time. Rules take time as a parameter; only what wires them asks here.
    public static var now: Timestamp {
        if let simulation = CoreClock.simulation { return simulation.wallTime }
        var time = timespec()
        unsafe clock_gettime(CLOCK_REALTIME, &time)
        return Timestamp(milliseconds: Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000)
    }

    /// What a server says that the time is. A simulation does not reach into servers, so its own time stands for theirs.
    public static func ofServer(_ time: Timestamp) -> Timestamp { CoreClock.simulation?.wallTime ?? time }
}
