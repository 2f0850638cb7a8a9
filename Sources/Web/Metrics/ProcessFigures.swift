import FoundationEssentials
import Glibc

/// What the kernel says about this process.
struct ProcessFigures: Sendable, Equatable {
    var cpuSeconds: Double
    var residentBytes: Int
    var virtualBytes: Int
    var startSeconds: Double
    var openFiles: Int

    /// nil where there is no `/proc`.
    static func now() -> Self? {
        guard let stat = read("/proc/self/stat"), let bootSeconds else { return nil }
        let files = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd")) ?? []  // a missing figure is 0
        return ProcessFigures(
            stat: stat, bootSeconds: bootSeconds, ticks: sysconf(Int32(_SC_CLK_TCK)), pageBytes: sysconf(Int32(_SC_PAGESIZE)),
            openFiles: max(0, files.count - 1))  // one of them is the listing itself
    }

    /// - Parameters:
    ///   - stat: `/proc/<pid>/stat`; see proc(5). The name in it may hold spaces and parentheses.
    ///   - ticks: clock ticks a second.
    init?(stat: String, bootSeconds: Double, ticks: Int, pageBytes: Int, openFiles: Int) {
        guard let nameEnd = stat.lastIndex(of: ")") else { return nil }
        let fields = stat[stat.index(after: nameEnd)...].split(separator: " ")  // from the third field on
        guard fields.count > 21, let user = Double(fields[11]), let system = Double(fields[12]), let start = Double(fields[19]),
            let virtualBytes = Int(fields[20]), let pages = Int(fields[21])
        else { return nil }
        cpuSeconds = (user + system) / Double(ticks)
        startSeconds = bootSeconds + start / Double(ticks)
        self.virtualBytes = virtualBytes
        residentBytes = pages * pageBytes
        self.openFiles = openFiles
    }

    /// When the machine started; read once.
    private static let bootSeconds = read("/proc/stat")?.split(separator: "\n").first { $0.hasPrefix("btime ") }
        .flatMap { Double($0.dropFirst("btime ".count)) }

    private static func read(_ path: String) -> String? {
        // Without `/proc` there is nothing to say, and nothing else to tell why.
        (try? Data(contentsOf: URL(filePath: path))).map { String(decoding: $0, as: UTF8.self) }
    }
}
