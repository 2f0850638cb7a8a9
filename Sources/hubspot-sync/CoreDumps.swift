import Glibc

/// A dump of this process's memory would hold the token, the other secrets and personal data.
enum CoreDumps {
    /// Asks the system to write none when the process crashes. Fails never: less is always permitted.
    static func forbid() {
        var none = rlimit(rlim_cur: 0, rlim_max: 0)
        setrlimit(__rlimit_resource_t(RLIMIT_CORE.rawValue), &none)
    }
}
