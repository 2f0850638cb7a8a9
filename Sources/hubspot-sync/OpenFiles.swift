import Glibc
import Logging

/// The limit of open files, of which each connection takes one.
enum OpenFiles {
    /// For MongoDB, HubSpot, logs, and connections that are being closed while others come.
    private static let reserve = 1024

    /// Raises the process's own limit as far as needed and permitted.
    ///
    /// - Returns: how many connections there can be, at most `wanted`.
    static func allow(connections wanted: Int, logger: Logger) -> Int {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return wanted }
        let needed = rlim_t(wanted + reserve)
        if limit.rlim_cur < needed {
            limit.rlim_cur = min(needed, limit.rlim_max)
            setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
            getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        }
        guard limit.rlim_cur < needed else { return wanted }
        // Half of very few, so that the rest works at all.
        let possible = max(Int(limit.rlim_cur) - reserve, Int(limit.rlim_cur) / 2)
        logger.warning(
            "The system's limit of open files allows fewer connections than MAX_CONNECTIONS: raise it (ulimit -n, LimitNOFILE)",
            metadata: ["connections": "\(possible)", "files": "\(limit.rlim_cur)"])
        return possible
    }
}
